//! From an accepted socket to a client or a caller of the API.

use std::io::{self, ErrorKind};
use std::rc::Rc;

use tokio::net::TcpStream;

use super::commands::Client;
use super::frame::{self, Message};
use super::head::Head;
use super::rooms::Rooms;
use super::socket::Socket;
use super::{api, handshake};

/// Bytes read at once.
const READ_SIZE: usize = 64 * 1024;

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, rooms: Rc<Rooms>) {
    // How a connection ends is nobody's business: its client notices.
    let _ = begin(stream, rooms).await;
}

async fn begin(stream: TcpStream, rooms: Rc<Rooms>) -> io::Result<()> {
    let mut input = Vec::new();
    let head = loop {
        if let Some(head) = Head::parse(&input) {
            break head;
        }
        read(&stream, &mut input).await?;
    };
    let Some((codec, answer)) = handshake::accept(&head) else {
        return api::serve(stream, input, &rooms).await;
    };
    input.drain(..head.length);
    let socket = Rc::new(Socket::new(stream, codec));
    socket.send(answer.as_bytes());
    let mut client = Client::new(Rc::clone(&socket), rooms);
    tokio::select! {
        ended = listen(&socket, &mut client, input) => ended,
        error = socket.flush() => Err(error),
    }
}

/// Carries out what a client sends.
async fn listen(socket: &Socket, client: &mut Client, mut input: Vec<u8>) -> io::Result<()> {
    loop {
        while let Some(message) = frame::take(&mut input) {
            match message {
                Message::Data(data) => client.handle(&data.into()),
                Message::Close => return Ok(()),
                Message::Control => {}
            }
        }
        // Nothing is held while a client is silent.
        input.shrink_to_fit();
        read(&socket.stream, &mut input).await?;
    }
}

/// Reads something behind `input`.
pub(super) async fn read(stream: &TcpStream, input: &mut Vec<u8>) -> io::Result<()> {
    loop {
        stream.readable().await?;
        let mut buffer = [0; READ_SIZE];
        match stream.try_read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                input.extend(&buffer[..count]);
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
