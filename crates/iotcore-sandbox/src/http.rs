//! Pure: the little of HTTP/1.1 that the sandbox speaks: heads of requests, and answers, which all have a `Date`.

use crate::access::date;

/// The longest head of a request, in bytes.
pub(crate) const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    /// Still encoded; empty if there is none.
    pub query: String,
    /// In order, with the names as they were sent.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The head at the beginning of these bytes and its length; `None` if it is not all there.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, String> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let length = match head.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() < LONGEST_HEAD => return Ok(None),
            Ok(httparse::Status::Partial) => return Err("the head is too long".to_owned()),
            Err(error) => return Err(format!("not HTTP: {error}")),
        };
        let target = head.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |header: &httparse::Header| {
            let value = String::from_utf8_lossy(header.value);
            (header.name.to_owned(), value.trim().to_owned())
        };
        let request = Request {
            method: head.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: head.headers.iter().map(header).collect(),
        };
        Ok(Some((request, length)))
    }

    /// The first header of this name, in whatever case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Response {
    /// One with a JSON body, after which the connection is closed.
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Response {
        let headers = vec![
            ("Content-Type", "application/json".to_owned()),
            ("Connection", "close".to_owned()),
        ];
        Response {
            status,
            headers,
            body: body.to_string(),
        }
    }

    /// AWS's way to say why a request is refused.
    pub(crate) fn message(status: u16, message: &str) -> Response {
        Response::json(status, &serde_json::json!({ "message": message }))
    }

    /// What is sent at this time, in seconds since the epoch.
    pub(crate) fn bytes(&self, now: u64) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let (date, length) = (date::http(now), self.body.len());
        text.push_str(&format!("Date: {date}\r\n"));
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.status >= 200 {
            text.push_str(&format!("Content-Length: {length}\r\n"));
        }
        text.push_str(&format!("\r\n{}", self.body));
        text.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_all_there() {
        let bytes = b"GET /mqtt?a=%20 HTTP/1.1\r\nHost: localhost:443 \r\nX:\r\n\r\nmore";
        for end in 0..bytes.len() - 4 {
            assert_eq!(Request::parse(&bytes[..end]), Ok(None), "{end}");
        }
        let (request, length) = Request::parse(bytes).unwrap().unwrap();
        assert_eq!(&bytes[length..], b"more");
        assert_eq!((&*request.path, &*request.query), ("/mqtt", "a=%20"));
        assert_eq!(request.header("host"), Some("localhost:443"));
        assert_eq!(request.header("x"), Some(""));
        assert_eq!(request.header("y"), None);
    }

    #[test]
    fn what_is_no_head_is_refused() {
        assert!(Request::parse(b"\x10\x0c\x00\x04MQTT").is_err());
        assert!(Request::parse(b"GET / HTTP/2.0\r\n\r\n").is_err());
        let endless = [b"GET /".as_slice(), &[b'a'; LONGEST_HEAD]].concat();
        assert!(Request::parse(&endless).is_err());
    }

    #[test]
    fn an_answer_has_a_date_and_its_length() {
        let text = String::from_utf8(Response::message(403, "no").bytes(784_111_777)).unwrap();
        let expected = "HTTP/1.1 403 Forbidden\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 16\r\n\r\n{\"message\":\"no\"}";
        assert_eq!(text, expected);
    }
}
