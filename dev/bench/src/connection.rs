//! One kept-alive HTTP/1.1 connection, with no more than a load generator needs: a request goes out as prepared bytes, and of the
//! answer only the status, the length and the log position are looked at. Nothing is allocated per request.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest head of an answer. A body may be longer: it is read past.
const LONGEST_HEAD: usize = 8 * 1024;

/// What is known of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The log position it names in `Event-Position`.
    pub(crate) position: Option<u64>,
    /// The server closes the connection after it.
    pub(crate) closes: bool,
}

/// A connection with the buffer that heads of answers are read into.
pub(crate) struct Connection<S = TcpStream> {
    stream: S,
    buffer: Box<[u8]>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: vec![0; LONGEST_HEAD].into() }
    }

    /// Sends a request and reads its answer to the end.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            let free = self.buffer.get_mut(filled..).unwrap_or_default();
            if free.is_empty() {
                return Err(malformed("the head of the answer is too long"));
            }
            filled += some(self.stream.read(free).await?)?;
            let Some(head) = Head::parse(self.buffer.get(..filled).unwrap_or_default())? else { continue };
            let Some(mut missing) = (head.bytes + head.body).checked_sub(filled) else {
                return Err(malformed("there is more than one answer"));
            };
            // The head has been looked at: what is left of the body may overwrite it.
            while missing > 0 {
                let most = missing.min(self.buffer.len());
                missing -= some(self.stream.read(self.buffer.get_mut(..most).unwrap_or_default()).await?)?;
            }
            return Ok(head.answer);
        }
    }
}

fn some(read: usize) -> io::Result<usize> {
    if read == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the server closed the connection before it had answered",
        ));
    }
    Ok(read)
}

/// The head of an answer: so many bytes, and so many of the body behind it.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    answer: Answer,
    bytes: usize,
    body: usize,
}

impl Head {
    /// `None`: it is not complete.
    fn parse(text: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let mut lines = text.get(..end).unwrap_or_default().split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let status = lines.next().and_then(|line| number(line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?));
        let Some(status) = status.and_then(|status| u16::try_from(status).ok()) else {
            return Err(malformed("the answer is not HTTP/1.1"));
        };
        let mut answer = Answer { status, position: None, closes: false };
        let mut body = matches!(status, 204 | 304).then_some(0);
        for line in lines {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            // Their lengths tell most headers apart.
            match name.len() {
                10 if name.eq_ignore_ascii_case(b"connection") => answer.closes = value.eq_ignore_ascii_case(b"close"),
                14 if name.eq_ignore_ascii_case(b"content-length") => body = number(value),
                14 if name.eq_ignore_ascii_case(b"event-position") => answer.position = number(value),
                _ => {}
            }
        }
        let Some(body) = body.and_then(|body| usize::try_from(body).ok()) else {
            return Err(malformed("the answer has no content-length"));
        };
        Ok(Some(Self { answer, bytes: end + 4, body }))
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    const CREATED: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nEvent-Position: 17\r\n\
                             content-length: 21\r\n\r\n{\"status\":\"accepted\"}";

    /// A connection, and the server's end of it.
    fn connected() -> (Connection<DuplexStream>, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        (Connection::new(ours), theirs)
    }

    fn created() -> Answer {
        Answer { status: 201, position: Some(17), closes: false }
    }

    #[tokio::test]
    async fn an_answer_is_whole_wherever_the_reads_split_it() {
        for split in 1..CREATED.len() {
            let (mut connection, mut server) = connected();
            let answering = async {
                let mut request = [0; 4];
                server.read_exact(&mut request).await.unwrap();
                server.write_all(&CREATED[..split]).await.unwrap();
                tokio::task::yield_now().await;
                server.write_all(&CREATED[split..]).await.unwrap();
            };
            let (answer, ()) = tokio::join!(connection.exchange(b"POST"), answering);
            assert_eq!(answer.unwrap(), created(), "split at {split}");
        }
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_long_bodies_are_read_past() {
        let (mut connection, mut server) = connected();
        let long = 3 * LONGEST_HEAD;
        for _ in 0..3 {
            let head = format!("HTTP/1.1 503 Service Unavailable\r\ncontent-length: {long}\r\n\r\n");
            server.write_all(head.as_bytes()).await.unwrap();
            server.write_all(&vec![b'x'; long]).await.unwrap();
            let answer = connection.exchange(b"POST").await.unwrap();
            assert_eq!(answer, Answer { status: 503, position: None, closes: false });
            server.write_all(CREATED).await.unwrap();
            assert_eq!(connection.exchange(b"POST").await.unwrap(), created());
        }
    }

    #[tokio::test]
    async fn a_server_that_closes_says_so_or_is_an_error() {
        let (mut connection, mut server) = connected();
        server.write_all(b"HTTP/1.1 204 No Content\r\nConnection: Close\r\n\r\n").await.unwrap();
        assert!(connection.exchange(b"POST").await.unwrap().closes);

        for whole in [0, 10, 60, CREATED.len() - 1] {
            let (mut connection, mut server) = connected();
            server.write_all(&CREATED[..whole]).await.unwrap();
            let mut gone = server;
            gone.shutdown().await.unwrap();
            let error = connection.exchange(b"POST").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "after {whole} bytes");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_an_error() {
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(LONGEST_HEAD));
        for nonsense in [
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            "hello\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n",
            &endless,
        ] {
            let (mut connection, mut server) = connected();
            server.write_all(nonsense.as_bytes()).await.unwrap();
            let error = connection.exchange(b"POST").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{nonsense}");
        }
    }
}
