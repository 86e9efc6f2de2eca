use std::future::poll_fn;

use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(1);

async fn send(writer: &mut Writer, stream: &mut DuplexStream, pieces: &[&'static str]) -> io::Result<()> {
    let mut batch: Vec<Bytes> = pieces.iter().map(|&piece| Bytes::from(piece)).collect();
    poll_fn(|cx| Poll::Ready(writer.message(stream, cx, Opcode::Text, &mut batch))).await
}

async fn flush(writer: &mut Writer, stream: &mut DuplexStream) -> io::Result<()> {
    poll_fn(|cx| writer.poll_flush(stream, cx)).await
}

#[tokio::test(start_paused = true)]
async fn pieces_make_one_message() {
    let (mut near, mut far) = duplex(1024);
    let mut writer = Writer::new(TIMEOUT);
    send(&mut writer, &mut near, &["{}\n", "{\"id\":1}"])
        .await
        .unwrap();
    flush(&mut writer, &mut near).await.unwrap();
    drop(near);
    let mut received = Vec::new();
    far.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"\x81\x0b{}\n{\"id\":1}");
}

#[tokio::test(start_paused = true)]
async fn what_a_narrow_pipe_does_not_take_follows_in_order() {
    let (mut near, mut far) = duplex(3);
    let mut writer = Writer::new(TIMEOUT);
    send(&mut writer, &mut near, &["abc", "", "defg", "h"])
        .await
        .unwrap();
    assert!(!writer.is_idle());
    let reading = tokio::spawn(async move {
        let mut received = vec![0; 10];
        far.read_exact(&mut received).await.map(|_| received)
    });
    flush(&mut writer, &mut near).await.unwrap();
    assert!(writer.is_idle());
    assert_eq!(reading.await.unwrap().unwrap(), b"\x81\x08abcdefgh");
}

#[tokio::test(start_paused = true)]
async fn more_pieces_than_one_write_takes_arrive_whole() {
    let (mut near, mut far) = duplex(1 << 20);
    let mut writer = Writer::new(TIMEOUT);
    send(&mut writer, &mut near, &["ab"; 2 * MAX_SLICES])
        .await
        .unwrap();
    flush(&mut writer, &mut near).await.unwrap();
    drop(near);
    let mut received = Vec::new();
    far.read_to_end(&mut received).await.unwrap();
    assert_eq!(received.len(), 4 + 4 * MAX_SLICES);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_given_up_after_the_timeout() {
    let (mut near, _far) = duplex(3);
    let mut writer = Writer::new(TIMEOUT);
    let start = Instant::now();
    send(&mut writer, &mut near, &["abcdef"]).await.unwrap();
    let error = flush(&mut writer, &mut near).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_little_now_and_then_is_waited_for() {
    let (mut near, mut far) = duplex(1);
    let mut writer = Writer::new(TIMEOUT);
    send(&mut writer, &mut near, &["abcdef"]).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut received = Vec::new();
        while received.len() < 8 {
            tokio::time::sleep(TIMEOUT / 2).await;
            received.push(far.read_u8().await.unwrap());
        }
        received
    });
    flush(&mut writer, &mut near).await.unwrap();
    assert_eq!(reading.await.unwrap(), b"\x81\x06abcdef");
}

/// A stream that takes everything at once and passes it on when it is flushed, as one that encrypts may.
struct Holding {
    inner: DuplexStream,
    held: Vec<u8>,
}

impl AsyncWrite for Holding {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.held.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !this.held.is_empty() {
            let count = ready!(Pin::new(&mut this.inner).poll_write(cx, &this.held))?;
            this.held.drain(..count);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_stream_holds_back_is_flushed_or_given_up() {
    let (near, mut far) = duplex(3);
    let (mut stream, mut writer) = (
        Holding {
            inner: near,
            held: Vec::new(),
        },
        Writer::new(TIMEOUT),
    );
    let write = |stream: &mut Holding, writer: &mut Writer, cx: &mut Context<'_>| {
        writer.control(Bytes::from_static(b"abcdefg"));
        writer.poll_flush(stream, cx)
    };
    let began = poll_fn(|cx| Poll::Ready(write(&mut stream, &mut writer, cx))).await;
    assert!(began.is_pending() && !writer.is_idle());
    let reading = tokio::spawn(async move {
        let mut received = vec![0; 7];
        far.read_exact(&mut received).await.map(|_| (received, far))
    });
    poll_fn(|cx| writer.poll_flush(&mut stream, cx)).await.unwrap();
    let (received, _far) = reading.await.unwrap().unwrap();
    assert_eq!(received, b"abcdefg");
    assert!(writer.is_idle());
    let began = poll_fn(|cx| Poll::Ready(write(&mut stream, &mut writer, cx))).await;
    assert!(began.is_pending());
    let error = poll_fn(|cx| writer.poll_flush(&mut stream, cx))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}
