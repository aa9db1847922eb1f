//! Reads: one row, a range of a partition, a whole table page by page.

use bytes::Bytes;
use infra_ports::store::{ScanRange, StoreError, StoredRow};
use schemas::position::Generation;
use schemas::tables::cql::{Range, walk_prefix};
use schemas::tables::{RowError, TableDef};
use scylla::response::{PagingState, PagingStateResponse};
use scylla::statement::prepared::PreparedStatement;

use crate::binding::BoundKey;
use crate::prepared::Scan;
use crate::rows::rows_of;
use crate::store::ScyllaStore;

impl ScyllaStore {
    pub(crate) async fn read_one(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        cluster: &[u8],
    ) -> Result<Option<StoredRow>, StoreError> {
        let build = self.build(table, generation).await?;
        let key = BoundKey {
            table,
            partition: Some(partition),
            cluster,
            after: &[],
            limit: None,
        };
        let rows = self.ask(&build.get, key, table, generation).await?;
        Ok(rows.into_iter().next())
    }

    pub(crate) async fn read_range(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        range: &ScanRange,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let build = self.build(table, generation).await?;
        let place = place_of(table, range).map_err(|reason| StoreError::Damaged {
            table: table.name,
            reason: reason.to_string(),
        })?;
        let (Some((range_read, after)), Some(limit)) = (place, limit(range.limit)) else {
            return Ok(Vec::new());
        };
        let scan = Scan::Partition(range_read);
        let scan = build.scan(&*self.session().await?, scan).await?;
        let key = BoundKey {
            table,
            partition: Some(partition),
            cluster: &range.prefix,
            after,
            limit: Some(limit),
        };
        self.ask(&scan, key, table, generation).await
    }

    pub(crate) async fn read_table(
        &self,
        table: &'static TableDef,
        generation: Generation,
        after: Option<(Bytes, Bytes)>,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let build = self.build(table, generation).await?;
        let mut rows = Vec::new();
        if let Some((partition, cluster)) = &after
            && !cluster.is_empty()
        {
            let rest = ScanRange {
                after: Some(cluster.clone()),
                limit,
                ..ScanRange::default()
            };
            rows = self.read_range(table, generation, partition, &rest).await?;
        }
        let Some(left) = self::limit(limit.saturating_sub(rows.len())) else {
            return Ok(rows);
        };
        let scan = match after {
            Some(_) => Scan::TableBehind,
            None => Scan::Table,
        };
        let scan = build.scan(&*self.session().await?, scan).await?;
        let key = BoundKey {
            table,
            partition: after.as_ref().map(|(partition, _)| &**partition),
            cluster: &[],
            after: &[],
            limit: Some(left),
        };
        rows.extend(self.ask(&scan, key, table, generation).await?);
        Ok(rows)
    }

    /// Asks page by page.
    async fn ask(
        &self,
        statement: &PreparedStatement,
        key: BoundKey<'_>,
        table: &'static TableDef,
        generation: Generation,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let session = self.session().await?;
        let (mut rows, mut place) = (Vec::new(), PagingState::start());
        loop {
            let asked = session.execute_single_page(statement, &key, place).await;
            let (page, next) = match asked {
                Ok(answer) => answer,
                Err(error) => return Err(self.failed(&error, table, generation).await),
            };
            rows.extend(rows_of(table, page)?);
            match next {
                PagingStateResponse::HasMorePages { state } => place = state,
                PagingStateResponse::NoMorePages => return Ok(rows),
            }
        }
    }
}

/// The statement of a range, and the place it begins behind (empty is none); nothing when no key can
/// come. Ordered bytes tell whether a place lies within the prefix.
fn place_of<'a>(
    table: &TableDef,
    range: &'a ScanRange,
) -> Result<Option<(Range, &'a [u8])>, RowError> {
    let prefix = walk_prefix(table, &range.prefix, |_| ())?;
    let whole = prefix == table.cluster().count();
    let after = range.after.as_deref().unwrap_or_default();
    let at_the_only_key = whole && range.after.as_ref() == Some(&range.prefix);
    if range.bounds().is_none() || at_the_only_key {
        return Ok(None);
    }
    let within = after.len() > range.prefix.len() && after.starts_with(&range.prefix);
    let after = if within { after } else { &[] };
    let statement = Range {
        prefix,
        after: walk_prefix(table, after, |_| ())?,
        reverse: range.reverse,
    };
    Ok(Some((statement, after)))
}

/// A limit as it is bound; none when nothing may come.
fn limit(rows: usize) -> Option<i32> {
    let limit = i32::try_from(rows).unwrap_or(i32::MAX);
    (limit > 0).then_some(limit)
}

#[cfg(test)]
mod tests {
    use schemas::tables::{MarkRow, Table};

    use super::*;

    #[test]
    fn a_limit_that_cql_cannot_say_is_none() {
        assert_eq!((limit(0), limit(7)), (None, Some(7)));
        assert_eq!(limit(usize::MAX), Some(i32::MAX));
    }

    /// An ordered text column.
    fn text(of: &str) -> Vec<u8> {
        [of.as_bytes(), &[0, 1]].concat()
    }

    fn place(prefix: Vec<u8>, after: Option<Vec<u8>>, reverse: bool) -> Option<(usize, usize)> {
        let range = ScanRange {
            prefix: prefix.into(),
            after: after.map(Into::into),
            reverse,
            limit: 1,
        };
        let found = place_of(MarkRow::DEF, &range).unwrap();
        found.map(|(statement, _)| (statement.prefix, statement.after))
    }

    #[test]
    fn a_place_outside_the_prefix_is_all_or_nothing() {
        let (ada, bob) = (text("ada"), text("bob"));
        let within = [text("bob"), text("phone")].concat();
        assert_eq!(
            place(bob.clone(), Some(within.clone()), false),
            Some((1, 2))
        );
        assert_eq!(place(bob.clone(), Some(ada.clone()), false), Some((1, 0)));
        assert_eq!(place(bob.clone(), Some(ada.clone()), true), None);
        assert_eq!(place(ada.clone(), Some(bob.clone()), false), None);
        assert_eq!(place(ada.clone(), Some(bob.clone()), true), Some((1, 0)));
        assert_eq!(place(bob.clone(), Some(bob.clone()), false), Some((1, 0)));
        assert_eq!(place(bob.clone(), Some(bob), true), None);
        let whole = [within, vec![0x80, 0, 0, 0, 0, 0, 0, 1]].concat();
        assert_eq!(place(whole.clone(), None, false), Some((3, 0)));
        assert_eq!(place(whole.clone(), Some(whole), false), None);
    }
}
