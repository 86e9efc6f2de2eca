//! `campanile pub`.

use std::io::Read as _;

use serde_json::json;

use super::arguments::PubArguments;
use super::failure::Failure;
use super::line;
use super::session::connect;

/// Publishes once.
pub(super) async fn run(arguments: PubArguments) -> Result<(), Failure> {
    let PubArguments {
        channel,
        data,
        text,
        server,
    } = arguments;
    let data = payload(data, text)?;
    let (client, mut events) = server.client()?;
    connect(&client, &mut events).await?;
    let published = client.publish(&channel, data).await;
    published.map_err(|error| Failure::of_request(format_args!("publishing to {channel}"), error))?;
    if server.json {
        line::print(&json!({ "type": "published", "channel": channel }));
    }
    Ok(())
}

/// The bytes that were meant.
fn payload(data: String, text: bool) -> Result<Vec<u8>, Failure> {
    let data = if data == "-" {
        let mut input = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut input);
        read.map_err(|error| Failure::Usage(format!("cannot read standard input: {error}")))?;
        input
    } else {
        data.into_bytes()
    };
    if text {
        let text = String::from_utf8(data).map_err(|_| Failure::Usage("DATA is not UTF-8".to_owned()))?;
        return Ok(json!(text).to_string().into_bytes());
    }
    if line::is_json(&data) {
        Ok(data)
    } else {
        let advice = "DATA is not JSON. Mind the shell's quotes, as in '{\"a\":1}', or give --text";
        Err(Failure::Usage(advice.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_json_or_said_to_be_text() {
        let payload = |data: &str, text| payload(data.to_owned(), text);
        assert_eq!(payload(r#"{"a": 1}"#, false).unwrap(), br#"{"a": 1}"#);
        assert_eq!(payload("hello", true).unwrap(), br#""hello""#);
        assert!(matches!(payload("hello", false), Err(Failure::Usage(_))));
    }
}
