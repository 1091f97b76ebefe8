//! Both directions over sockets of this process, and every way to end.

use tokio::io::{DuplexStream, duplex};

use super::*;

const LONG: Duration = Duration::from_secs(30);

/// A relay with the client's end of its socket and the broker's end of its stream, which holds so many
/// bytes that the broker has not read.
async fn relay(room: usize) -> (Relay, UnixStream, DuplexStream) {
    let (stream, broker) = duplex(room);
    let (relay, name) = Relay::start(Box::new(stream)).unwrap();
    (relay, UnixStream::connect(name).await.unwrap(), broker)
}

async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin), length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(LONG, stream.read_exact(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    bytes
}

#[tokio::test]
async fn bytes_go_both_ways_at_once() {
    let (_relay, mut client, mut broker) = relay(1000).await;
    let sent: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
    let (mut from, mut to) = client.split();
    let (mut from_broker, mut to_broker) = tokio::io::split(&mut broker);
    let (up, down, ..) = tokio::join!(
        read(&mut from_broker, sent.len()),
        read(&mut from, sent.len()),
        async { to.write_all(&sent).await.unwrap() },
        async { to_broker.write_all(&sent).await.unwrap() },
    );
    assert!(up == sent && down == sent);
}

#[tokio::test]
async fn what_is_marked_is_reported_when_the_stream_has_taken_it() {
    let (mut relay, mut client, mut broker) = relay(16).await;
    client.write_all(&[1; 10]).await.unwrap();
    relay.mark();
    assert_eq!(timeout(LONG, relay.flushed()).await, Ok(1));
    client.write_all(&[2; 10]).await.unwrap();
    relay.mark();
    relay.mark();
    // The stream has room for six of them.
    read(&mut broker, 1).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(relay.newly_flushed(), 0);
    read(&mut broker, 19).await;
    assert_eq!(timeout(LONG, relay.flushed()).await, Ok(2));
    relay.mark();
    assert_eq!(
        timeout(LONG, relay.flushed()).await,
        Ok(1),
        "nothing was new"
    );
}

#[tokio::test]
async fn when_the_client_closes_all_it_sent_is_written_and_the_stream_is_shut_down() {
    let (mut relay, mut client, mut broker) = relay(10).await;
    client.write_all(&[7; 1000]).await.unwrap();
    drop(client);
    assert_eq!(read(&mut broker, 1000).await, [7; 1000]);
    assert_eq!(broker.read(&mut [0]).await.unwrap(), 0);
    let ended = timeout(LONG, relay.ended()).await.unwrap();
    assert!(matches!(ended, RelayEnd::ByClient), "{ended:?}");
}

#[tokio::test]
async fn when_the_broker_closes_the_client_reads_all_that_has_come_though_it_is_writing() {
    let (mut relay, mut client, mut broker) = relay(100_000).await;
    broker.write_all(&[9; 50_000]).await.unwrap();
    drop(broker);
    for _ in 0..100 {
        client.write_all(&[1; 1000]).await.unwrap();
    }
    let mut seen = Vec::new();
    timeout(LONG, client.read_to_end(&mut seen))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.len(), 50_000);
    drop(client);
    let ended = timeout(LONG, relay.ended()).await.unwrap();
    assert!(
        matches!(ended, RelayEnd::ByBroker | RelayEnd::Failed(_)),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_stream_that_takes_nothing_is_given_up() {
    let (stream, _broker) = duplex(10);
    let (mut client, other) = UnixStream::pair().unwrap();
    let ((_marks, made), (reached, _flushed)) = (watch::channel(0), watch::channel(0));
    let marks = Marks { made, reached };
    let stall = Duration::from_millis(50);
    client.write_all(&[1; 1000]).await.unwrap();
    let work = tokio::spawn(carry(other, Box::new(stream), marks, stall));
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    drop(client);
    let ended = timeout(LONG, work).await.unwrap().unwrap();
    assert!(matches!(ended, RelayEnd::Stalled), "{ended:?}");
}

#[tokio::test]
async fn another_process_is_turned_away() {
    let listener = RelayListener::open().unwrap();
    let mut stranger = UnixStream::connect(listener.name()).await.unwrap();
    let work = tokio::spawn(listener.accept(process::id() + 1));
    assert_eq!(stranger.read(&mut [0]).await.unwrap(), 0);
    assert!(!work.is_finished());
    work.abort();
}

#[tokio::test]
async fn dropping_it_cuts_the_stream() {
    let (relay, _client, mut broker) = relay(10).await;
    drop(relay);
    assert_eq!(
        timeout(LONG, broker.read(&mut [0])).await.unwrap().unwrap(),
        0
    );
}
