//! A session with the cluster, and the keyspace.

use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::{OpenSsl010Config, Session};
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::statement::{Consistency, SerialConsistency, Statement};

use crate::config::{Config, Credentials};
use crate::errors::ConnectError;
use crate::lock::CHANGE_WITHIN;

/// How long a silent connection is trusted, twice: idle before it is asked, and asked.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Opens a session and makes sure of the keyspace.
pub(crate) async fn connect(config: &Config) -> Result<Session, ConnectError> {
    let contact_points = || config.contact_points.clone();
    let trusted = config.trusted()?.map(OpenSsl010Config::new);
    let builder = builder(config, config.credentials()?).tls_context(trusted);
    let session = tokio::time::timeout(config.answer_within, builder.build())
        .await
        .map_err(|_| ConnectError::TimedOut {
            contact_points: contact_points(),
        })?
        .map_err(|reason| ConnectError::of(contact_points(), reason))?;
    create_keyspace(&session, config).await?;
    Ok(session)
}

fn builder(config: &Config, credentials: Option<Credentials>) -> SessionBuilder {
    let mut nodes = DefaultPolicy::builder()
        .token_aware(true)
        .permit_dc_failover(false);
    if let Some(datacentre) = &config.datacentre {
        nodes = nodes.prefer_datacenter(datacentre.clone());
    }
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(config.answer_within))
        .load_balancing_policy(nodes.build())
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(config.contact_points.split(',').map(str::trim))
        .default_execution_profile_handle(profile.into_handle())
        .keyspaces_to_fetch([&config.keyspace])
        .refresh_metadata_on_auto_schema_agreement(false)
        .keepalive_interval(KEEPALIVE)
        .keepalive_timeout(KEEPALIVE);
    if let Some(Credentials { user, password }) = credentials {
        builder = builder.user(user, password);
    }
    builder
}

/// Creates the keyspace unless it is there: whoever made it chose its replication.
async fn create_keyspace(session: &Session, config: &Config) -> Result<(), ConnectError> {
    let keyspace = &config.keyspace;
    let failed = |reason: String| ConnectError::Keyspace {
        keyspace: keyspace.clone(),
        reason,
    };
    let look = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let found = session.query_unpaged(look, (keyspace,)).await;
    let found = found.map_err(|e| failed(e.to_string()))?.into_rows_result();
    if found.map_err(|e| failed(e.to_string()))?.rows_num() > 0 {
        return Ok(());
    }
    let replicas = config.replicas;
    let of = config.datacentre.as_deref().unwrap_or("replication_factor");
    let create = format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
         {{'class': 'NetworkTopologyStrategy', '{of}': {replicas}}}"
    );
    let mut create = Statement::new(create);
    create.set_request_timeout(Some(CHANGE_WITHIN));
    let created = session.query_unpaged(create, ()).await;
    created.map_err(|e| failed(e.to_string()))?;
    let learned = session.refresh_metadata().await;
    learned.map_err(|e| failed(e.to_string()))
}
