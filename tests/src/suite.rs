//! One test over each transport.

/// Makes three tests of each body, an `async fn(Transport) -> Result<()>`: `BODY::over_websocket`, `BODY::over_quic` and
/// `BODY::over_webtransport`.
///
/// ```
/// use anyhow::Result;
/// use campanile_tests::over_each_transport;
/// use campanile_tests::wire::Transport;
///
/// over_each_transport!(has_a_name);
///
/// async fn has_a_name(transport: Transport) -> Result<()> {
///     assert!(!format!("{transport:?}").is_empty());
///     Ok(())
/// }
/// ```
#[macro_export]
macro_rules! over_each_transport {
    ($($body:ident),+ $(,)?) => {
        $(mod $body {
            use $crate::wire::Transport;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_websocket() -> anyhow::Result<()> {
                super::$body(Transport::WebSocket).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_quic() -> anyhow::Result<()> {
                super::$body(Transport::Quic).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_webtransport() -> anyhow::Result<()> {
                super::$body(Transport::WebTransport).await
            }
        })+
    };
}
