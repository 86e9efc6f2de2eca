//! The emulated link: what the other tests here take for granted.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::link::{CLIENT, Conditions, Link, SERVER};
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::Wire;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

const DELAY: Duration = Duration::from_millis(25);

/// So few that they fit into every queue on their way, however slowly it is emptied.
const DATAGRAMS: u8 = 100;

/// Says that no more comes.
const END: &[u8] = b"end";

#[tokio::test]
async fn a_packet_takes_its_time_each_way() -> Result<()> {
    let link = Link::between(Conditions {
        delay: DELAY,
        ..Conditions::default()
    })?;
    let (_echo, address) = echo(&link).await?;
    let took = link
        .client()
        .run(async move {
            let socket = UdpSocket::bind((CLIENT, 0)).await?;
            let start = Instant::now();
            socket.send_to(b"there and back", address).await?;
            timeout(SOON, socket.recv(&mut [0; 64])).await??;
            anyhow::Ok(start.elapsed())
        })
        .await?;
    assert!(took >= 2 * DELAY, "{took:?}");
    Ok(())
}

#[tokio::test]
async fn the_same_seed_loses_the_same_datagrams() -> Result<()> {
    let conditions = |seed| Conditions {
        loss: 0.2,
        seed,
        ..Conditions::default()
    };
    let (first, second) = tokio::try_join!(survivors(conditions(1)), survivors(conditions(1)))?;
    assert!((50..95).contains(&first.len()), "{first:?}");
    assert_eq!(first, second);
    assert_ne!(first, survivors(conditions(2)).await?);
    Ok(())
}

#[tokio::test]
async fn what_is_too_long_for_the_path_vanishes() -> Result<()> {
    // 28 bytes of headers.
    let link = Link::between(Conditions {
        mtu: 1228,
        ..Conditions::default()
    })?;
    let (_echo, address) = echo(&link).await?;
    let back = link
        .client()
        .run(async move {
            let socket = UdpSocket::bind((CLIENT, 0)).await?;
            socket.send_to(&[1; 1201], address).await?;
            socket.send_to(&[2; 1200], address).await?;
            let mut buffer = [0; 2000];
            let size = timeout(SOON, socket.recv(&mut buffer)).await??;
            anyhow::Ok(buffer[..size].to_vec())
        })
        .await?;
    assert_eq!(back, [2; 1200]);
    assert_eq!(link.to_server().oversized, 1);
    Ok(())
}

#[tokio::test]
async fn tcp_makes_good_what_is_lost() -> Result<()> {
    const BYTES: usize = 200_000;
    let link = Link::between(Conditions {
        delay: Duration::from_millis(1),
        loss: 0.05,
        late: 0.02,
        ..Conditions::default()
    })?;
    let listener = link.server().run(TcpListener::bind((SERVER, 0))).await?;
    let address = listener.local_addr()?;
    let sending = link.server().spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(&[7; BYTES]).await?;
        stream.shutdown().await
    });
    let received = link
        .client()
        .run(async move {
            let mut received = Vec::new();
            let mut stream = TcpStream::connect(address).await?;
            timeout(2 * SOON, stream.read_to_end(&mut received)).await??;
            anyhow::Ok(received)
        })
        .await?;
    sending.await??;
    assert_eq!(received.len(), BYTES);
    assert!(link.to_client().lost > 0, "{:?}", link.to_client());
    Ok(())
}

#[tokio::test]
async fn a_gateway_serves_the_other_side() -> Result<()> {
    let link = Link::between(Conditions::default())?;
    let config = GatewayConfig::default()
        .set("http_server.address", SERVER.to_string())
        .set("client.allow_anonymous_connect_without_token", true);
    let gateway = link
        .server()
        .run(async move { Gateway::start(&config).await })
        .await?;
    let url = gateway.websocket_url();
    link.client()
        .run(async move { Wire::connect(&url, "").await })
        .await?;
    Ok(())
}

/// A socket at the server that sends everything back, and its address.
async fn echo(link: &Link) -> Result<(tokio::task::JoinHandle<()>, SocketAddr)> {
    let socket = link.server().run(UdpSocket::bind((SERVER, 0))).await?;
    let address = socket.local_addr()?;
    let task = link.server().spawn(async move {
        let mut buffer = [0; 2000];
        while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
            // The link says what becomes of it.
            let _ = socket.send_to(&buffer[..size], from).await;
        }
    });
    Ok((task, address))
}

/// Which of [`DATAGRAMS`] numbered datagrams reach the server.
async fn survivors(conditions: Conditions) -> Result<BTreeSet<u8>> {
    let link = Link::between(conditions)?;
    let socket = link.server().run(UdpSocket::bind((SERVER, 0))).await?;
    let address = socket.local_addr()?;
    let receiving = link.server().spawn(async move {
        let (mut received, mut buffer) = (BTreeSet::new(), [0; 16]);
        loop {
            let size = timeout(SOON, socket.recv(&mut buffer)).await??;
            match &buffer[..size] {
                END => return anyhow::Ok(received),
                other => received.insert(other[0]),
            };
        }
    });
    let sender = link.client().run(UdpSocket::bind((CLIENT, 0))).await?;
    for number in 0..DATAGRAMS {
        sender.send_to(&[number], address).await?;
    }
    // The end must arrive, but after all the others have been drawn for, which is in their order.
    eventually("the link has taken in all of them", SOON, || async {
        let counts = link.to_server();
        counts.carried + counts.lost == u64::from(DATAGRAMS)
    })
    .await;
    link.change(|conditions| conditions.loss = 0.0);
    sender.send_to(END, address).await?;
    receiving.await?
}
