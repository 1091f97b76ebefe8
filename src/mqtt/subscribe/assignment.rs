//! Pure: how subscriptions are spread over connections.

/// Subscriptions that AWS IoT Core allows on one connection.
pub const FILTERS_PER_CONNECTION: usize = 50;
/// Connections of one process at most.
pub const MOST_CONNECTIONS: usize = 16;

/// Which connection each durable subscription gets, in order, from the number of filters of each.
/// The first connection, number 0, is left to all else, so that a reader that takes nothing holds up
/// nobody; the others get one each, and share when they are more. With a single connection they share
/// it with all else. `None`: they do not fit.
pub fn share_out(filters: &[usize], connections: usize) -> Option<Vec<usize>> {
    let first = usize::from(connections > 1);
    let mut loads = vec![0; connections.saturating_sub(first)];
    filters
        .iter()
        .map(|count| {
            let (index, load) = loads
                .iter_mut()
                .enumerate()
                .min_by_key(|(_, load)| **load)?;
            *load += count;
            (*load <= FILTERS_PER_CONNECTION).then_some(index + first)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_inbox_has_a_connection_of_its_own_while_there_are_some() {
        for (filters, connections, expect) in [
            (&[1][..], 4, Some(vec![1])),
            (&[1, 9, 1], 4, Some(vec![1, 2, 3])),
            (&[5, 1, 2, 3, 1], 4, Some(vec![1, 2, 3, 2, 3])),
            (&[50, 50, 50], 4, Some(vec![1, 2, 3])),
            (&[50, 50, 50, 1], 4, None),
            (&[51], 4, None),
            (&[1, 2], 1, Some(vec![0, 0])),
            (&[49, 2], 1, None),
            (&[], 4, Some(vec![])),
        ] {
            assert_eq!(
                share_out(filters, connections),
                expect,
                "{filters:?} over {connections}"
            );
        }
    }
}
