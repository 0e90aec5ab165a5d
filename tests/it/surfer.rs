//! A browser without scripts: cookies, redirects, and forms as they stand in the page.

use std::collections::HashMap;

use http::header::{COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;

/// A page that was loaded.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) address: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// A form of a page, with the values that it was sent with.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) method: String,
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    /// Types a value, or chooses it.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match self.fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("no field {name}: {self:?}"), |(_, value)| value)
    }
}

/// Cookies by host and name, as the servers of one machine see them: ports do not separate cookies.
#[derive(Debug, Default)]
pub(crate) struct Browser {
    cookies: HashMap<String, (String, String)>,
    /// The raw lines that set them.
    pub(crate) set: Vec<String>,
}

impl Browser {
    pub(crate) async fn get(&mut self, address: &str) -> Page {
        self.go(Method::GET, address, None, None).await
    }

    /// Sends a form as the page has it.
    pub(crate) async fn submit(&mut self, page: &Page, form: &Form) -> Page {
        let address = absolute(&page.address, &form.action);
        let data = encode(&form.fields);
        if form.method == "post" {
            let origin = origin(&page.address).to_owned();
            self.go(Method::POST, &address, Some(data), Some(&origin))
                .await
        } else {
            let address = format!("{}?{data}", address.split('?').next().unwrap());
            self.get(&address).await
        }
    }

    /// One request without following where it leads.
    pub(crate) async fn step(
        &mut self,
        method: Method,
        address: &str,
        data: Option<String>,
        from: Option<&str>,
    ) -> Page {
        let host = origin(address).split_once("://").unwrap().1.to_owned();
        let path = &address[origin(address).len()..];
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &host);
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|(_, (scope, _))| path.starts_with(scope.as_str()))
            .map(|(name, (_, value))| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        if let Some(from) = from {
            request = request
                .header(ORIGIN, from)
                .header("content-type", "application/x-www-form-urlencoded");
        }
        let request = request.body(data.unwrap_or_default()).unwrap();
        let stream = tokio::net::TcpStream::connect(&host).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        for line in head.headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap().to_owned();
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let scope = rest.split("Path=").nth(1).unwrap_or("/");
            let scope = scope.split(';').next().unwrap();
            let kept = (scope.to_owned(), value.to_owned());
            self.cookies.insert(name.to_owned(), kept);
            self.set.push(line);
        }
        Page {
            address: address.to_owned(),
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    async fn go(
        &mut self,
        method: Method,
        address: &str,
        data: Option<String>,
        from: Option<&str>,
    ) -> Page {
        let mut page = self.step(method, address, data, from).await;
        for _ in 0..10 {
            if !(300..400).contains(&page.status) {
                return page;
            }
            let to = page.headers[LOCATION].to_str().unwrap();
            let to = absolute(&page.address, to);
            page = self.step(Method::GET, &to, None, None).await;
        }
        panic!("led in circles: {}", page.address);
    }
}

impl Page {
    /// The form whose action begins like this.
    pub(crate) fn form(&self, action: &str) -> Form {
        let forms = self.text.split("<form").skip(1);
        let mut forms = forms
            .map(|rest| rest.split("</form>").next().unwrap())
            .map(read_form);
        let found = forms.find(|form| absolute(&self.address, &form.action).contains(action));
        found.unwrap_or_else(|| panic!("no form to {action} in {}", self.text))
    }

    /// Where the first link with this text leads.
    pub(crate) fn link(&self, text: &str) -> String {
        let end = format!(">{text}</a>");
        let before = self.text.split(&end).next().unwrap();
        assert!(
            before.len() < self.text.len(),
            "no link {text} in {}",
            self.text
        );
        let tag = before.rsplit("<a ").next().unwrap();
        absolute(&self.address, &attribute(tag, "href").unwrap())
    }
}

pub(crate) fn origin(address: &str) -> &str {
    let after = address.find("://").unwrap() + 3;
    let length = address[after..].find('/').unwrap_or(address.len() - after);
    &address[..after + length]
}

fn absolute(base: &str, address: &str) -> String {
    if address.is_empty() {
        base.to_owned()
    } else if address.starts_with('/') {
        format!("{}{address}", origin(base))
    } else if address.starts_with('?') {
        format!("{}{address}", base.split('?').next().unwrap())
    } else {
        address.to_owned()
    }
}

fn encode(fields: &[(String, String)]) -> String {
    let percent = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs = fields.iter();
    let pairs = pairs.map(|(name, value)| format!("{}={}", percent(name), percent(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split(&format!(" {name}=\"")).nth(1).or_else(|| {
        let first = tag.strip_prefix(&format!("{name}=\""));
        first.filter(|_| tag.starts_with(name))
    })?;
    Some(unescape(value.split('"').next().unwrap()))
}

fn unescape(text: &str) -> String {
    let mut text = text.to_owned();
    for (entity, plain) in [
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&#60;", "<"),
        ("&lt;", "<"),
        ("&#62;", ">"),
        ("&gt;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, plain);
    }
    text
}

fn read_form(html: &str) -> Form {
    let head = html.split('>').next().unwrap();
    let mut fields = Vec::new();
    for rest in html.split("<input").skip(1) {
        let tag = rest.split('>').next().unwrap();
        let Some(name) = attribute(tag, "name") else {
            continue;
        };
        let is_choice = attribute(tag, "type").as_deref() == Some("radio");
        if !is_choice || tag.ends_with(" checked") {
            fields.push((name, attribute(tag, "value").unwrap_or_default()));
        }
    }
    for rest in html.split("<textarea").skip(1) {
        let (tag, rest) = rest.split_once('>').unwrap();
        let text = rest.split("</textarea>").next().unwrap();
        let text = unescape(text.strip_prefix('\n').unwrap_or(text));
        fields.push((attribute(tag, "name").unwrap(), text));
    }
    Form {
        method: attribute(head, "method").unwrap_or_else(|| "get".to_owned()),
        action: attribute(head, "action").unwrap_or_default(),
        fields,
    }
}
