//! The connection: one for all, made anew when it fails, every step of it bounded in time.

use std::time::{Duration, Instant};

use infra_ports::registry::RegistryError;
use openssl::ssl::SslConnector;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisError, ScriptInvocation,
};

use crate::tls;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection, and which one it is.
#[derive(Clone)]
struct Open {
    life: u64,
    connection: MultiplexedConnection,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    lives: u64,
    /// No attempt is made before this moment.
    rests_until: Option<Instant>,
    pause: Duration,
    why: String,
}

/// The way to Redis.
pub(crate) struct Line {
    client: Client,
    /// Whom it trusts, where it is encrypted.
    trusted: Option<SslConnector>,
    within: Duration,
    state: Mutex<State>,
    /// Held by whoever connects: one does it for all.
    connecting: tokio::sync::Mutex<()>,
}

impl Line {
    pub(crate) fn new(client: Client, trusted: Option<SslConnector>, within: Duration) -> Self {
        Self {
            client,
            trusted,
            within,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// Runs a script. Ends within twice the time for an answer.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RegistryError> {
        let connecting = tokio::time::timeout(self.within, self.connection()).await;
        let Open {
            life,
            mut connection,
        } = connecting.map_err(|_| self.late("connection"))??;
        match tokio::time::timeout(self.within, script.invoke_async(&mut connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let error = translate(&error);
                if error.is_retryable() {
                    self.give_up(life);
                }
                Err(error)
            }
            Err(_) => {
                self.give_up(life);
                Err(self.late("answer"))
            }
        }
    }

    fn late(&self, what: &str) -> RegistryError {
        RegistryError::Unavailable(format!("no {what} within {:?}", self.within))
    }

    async fn connection(&self) -> Result<Open, RegistryError> {
        if let Some(open) = self.open()? {
            return Ok(open);
        }
        let _one = self.connecting.lock().await;
        if let Some(open) = self.open()? {
            return Ok(open);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.within))
            .set_response_timeout(None);
        let mut failing = Failing {
            line: self,
            why: Some(format!("no connection within {:?}", self.within)),
        };
        match self.connect(config).await {
            Ok(connection) => {
                failing.why = None;
                Ok(self.opened(connection))
            }
            Err(error) => {
                let error = translate(&error);
                failing.why = Some(error.to_string());
                Err(error)
            }
        }
    }

    async fn connect(
        &self,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        let Some(trusted) = &self.trusted else {
            let made = self
                .client
                .get_multiplexed_async_connection_with_config(&config);
            return made.await;
        };
        tls::connect(&self.client, trusted, config).await
    }

    /// The connection as it is; an error while none is to be made.
    fn open(&self) -> Result<Option<Open>, RegistryError> {
        let state = self.state.lock();
        if let Some(open) = &state.open {
            return Ok(Some(open.clone()));
        }
        match state.rests_until {
            Some(until) if Instant::now() < until => {
                let why = format!("tried a moment ago: {}", state.why);
                Err(RegistryError::Unavailable(why))
            }
            _ => Ok(None),
        }
    }

    fn opened(&self, connection: MultiplexedConnection) -> Open {
        let mut state = self.state.lock();
        state.lives += 1;
        let open = Open {
            life: state.lives,
            connection,
        };
        (state.open, state.rests_until) = (Some(open.clone()), None);
        state.pause = FIRST_PAUSE;
        if state.lives > 1 {
            tracing::info!("the registry is connected again");
        }
        open
    }

    /// The next attempt is not before a while.
    fn rest(&self, why: String) {
        let mut state = self.state.lock();
        state.pause = (state.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        state.rests_until = Some(Instant::now() + state.pause);
        state.why = why;
    }

    /// Whoever asks next connects anew, unless somebody did already.
    fn give_up(&self, life: u64) {
        let mut state = self.state.lock();
        if state.open.as_ref().is_some_and(|open| open.life == life) {
            state.open = None;
            tracing::warn!("the registry does not answer, its connection is given up");
        }
    }
}

/// An attempt to connect: unless it succeeds, also when whoever waited for it gave up, the next one is
/// not at once.
struct Failing<'a> {
    line: &'a Line,
    why: Option<String>,
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if let Some(why) = self.why.take() {
            self.line.rest(why);
        }
    }
}

/// What Redis refuses will be refused again; all else may be otherwise later.
fn translate(error: &RedisError) -> RegistryError {
    use redis::ServerErrorKind as Server;
    let refused = matches!(
        error.kind(),
        ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::UnexpectedReturnType
            | ErrorKind::Server(Server::ResponseError | Server::CrossSlot | Server::NoPerm)
    );
    let login = error.kind() == ErrorKind::AuthenticationFailed;
    match refused {
        true if login => RegistryError::Refused(format!("redis_login_refused: {error}")),
        true => RegistryError::Refused(error.to_string()),
        false => RegistryError::Unavailable(error.to_string()),
    }
}
