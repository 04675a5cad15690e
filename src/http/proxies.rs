//! What a proxy in front says of a request: under which path the server is reached, who called and by which name. Only
//! proxies of the settings are believed; what others say of themselves is taken away before anybody reads it.

use super::HttpConfig;
use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A network, or an address alone.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| format!("{text:?} is no network such as 10.0.0.0/8, and no address"))
}

/// Why a network in the settings is none.
pub(super) fn problem_of(network: &str) -> Option<String> {
    self::network(network).err()
}

/// Why a path in the settings is none.
pub(super) fn path_problem(path: &str) -> Option<String> {
    let piece = |piece: &str| {
        !piece.is_empty()
            && !piece.bytes().all(|b| b == b'.')
            && piece.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    let fits = path.is_empty() || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(piece));
    if !fits {
        return Some(format!("{path:?} is no path such as /trade, which begins with / and does not end with it"));
    }
    // What is asked for there would be taken for something below the path.
    let is_taken =
        |route: &&&str| route.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let taken = super::ROUTES.iter().find(is_taken).filter(|_| !path.is_empty())?;
    Some(format!("{path:?} is where {taken} is: choose another path, such as /trade"))
}

/// Whom to believe, and what the server's path begins with.
struct Proxies {
    trusted: Vec<IpNet>,
    base_path: String,
}

impl Proxies {
    fn is_trusted(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The caller behind the proxies: the last address of the list that is no proxy of ours. Each proxy appends the one it
    /// was called from, so that what stands before it may have been made up.
    fn caller(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let all: Option<Vec<&str>> = headers.get_all(FOR).iter().map(|value| value.to_str().ok()).collect();
        let mut behind = None;
        for said in all?.iter().flat_map(|value| value.split(',')).rev() {
            // With a port, as some write it, or without one.
            let said = said.trim();
            let address = said.parse::<SocketAddr>().map(|socket| socket.ip()).or_else(|_| said.parse::<IpAddr>());
            let Ok(address) = address.map(|address| address.to_canonical()) else { break };
            behind = Some(address);
            if !self.is_trusted(address) {
                break;
            }
        }
        behind
    }

    /// The request as it was before it came through the proxies.
    fn seen(&self, request: &mut Request) {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
        if peer.is_some_and(|peer| self.is_trusted(peer.ip())) {
            if let Some(caller) = self.caller(request.headers()) {
                request.extensions_mut().insert(ConnectInfo(SocketAddr::new(caller, 0)));
            }
            // The first proxy was called by this name; it must still be one of ours.
            if let Some(host) = request.headers().get(HOST).cloned() {
                request.headers_mut().insert(header::HOST, host);
            }
        }
        for name in [FOR, HOST] {
            request.headers_mut().remove(name);
        }
    }

    /// Takes the path's beginning away where it is there: a proxy may have done so already. Answers itself where a slash is
    /// missing without which the page's own addresses would lead elsewhere.
    fn below(&self, request: &mut Request) -> Option<Response> {
        let path = request.uri().path();
        let rest = path.strip_prefix(self.base_path.as_str()).filter(|_| !self.base_path.is_empty())?;
        if rest.is_empty() {
            let to = format!("{}/", self.base_path);
            let mut response = (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response();
            super::hardened::harden(&mut response);
            return Some(response);
        }
        if rest.starts_with('/') {
            let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
            // What was a path is one without its beginning.
            if let Ok(uri) = format!("{rest}{query}").parse::<Uri>() {
                *request.uri_mut() = uri;
            }
        }
        None
    }
}

/// The routes as they are reached through proxies.
pub(super) fn behind(config: &HttpConfig, app: Router) -> Router {
    let read = |text: &String| network(text).ok();
    let proxies = Proxies {
        // Those that cannot be read were refused with the settings.
        trusted: config.trusted_proxies.iter().filter_map(read).collect(),
        base_path: config.base_path.clone(),
    };
    Router::new().fallback(pass).with_state((Arc::new(proxies), app))
}

async fn pass(State((proxies, app)): State<(Arc<Proxies>, Router)>, mut request: Request) -> Response {
    proxies.seen(&mut request);
    match proxies.below(&mut request) {
        Some(response) => response,
        None => TowerToHyperService::new(app).call(request).await.unwrap_or_else(|never| match never {}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn proxies(trusted: &[&str]) -> Proxies {
        Proxies {
            trusted: trusted.iter().map(|text| network(text).unwrap()).collect(),
            base_path: "/trade/sg-ai".into(),
        }
    }

    fn request(peer: &str, headers: &[(&str, &str)]) -> Request {
        let request = headers.iter().fold(Request::builder().uri("/"), |r, (name, value)| r.header(*name, *value));
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 9)));
        request
    }

    fn seen(trusted: &[&str], peer: &str, headers: &[(&str, &str)]) -> (String, String, bool) {
        let mut request = request(peer, headers);
        proxies(trusted).seen(&mut request);
        let caller = request.extensions().get::<ConnectInfo<SocketAddr>>().unwrap().0.ip().to_string();
        let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
        (caller, host, request.headers().contains_key(FOR))
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let said = [
            ("host", "inner"),
            ("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.2"),
            ("x-forwarded-host", "sg.example"),
        ];
        let told = |caller: &str, host: &str| (caller.to_owned(), host.to_owned(), false);
        assert_eq!(seen(&[], "10.0.0.1", &said), told("10.0.0.1", "inner"), "nobody is trusted unasked");
        assert_eq!(seen(&["192.168.0.0/16"], "10.0.0.1", &said), told("10.0.0.1", "inner"));
        // 6.6.6.6 is what the caller said of itself.
        assert_eq!(seen(&["10.0.0.0/8"], "10.0.0.1", &said), told("203.0.113.9", "sg.example"));
        assert_eq!(seen(&["10.0.0.1"], "10.0.0.1", &said), told("10.0.0.2", "sg.example"));
        assert_eq!(seen(&["10.0.0.0/8"], "::ffff:10.0.0.1", &said), told("203.0.113.9", "sg.example"));
        let of = |list| seen(&["10.0.0.0/8"], "10.0.0.1", &[("host", "inner"), ("x-forwarded-for", list)]).0;
        assert_eq!(of("[2001:db8::1]:443"), "2001:db8::1");
        assert_eq!(of("198.51.100.7:1234"), "198.51.100.7");
        assert_eq!(of("unknown"), "10.0.0.1", "what is no address names nobody");
        assert_eq!(of("203.0.113.9, nonsense, 10.0.0.3"), "10.0.0.3");
    }

    #[test]
    fn a_network_is_one() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.1", "::1"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
            ("::/0", "::1", "127.0.0.1"),
        ] {
            let of = proxies(&[text]);
            assert!(of.is_trusted(inside.parse().unwrap()) && !of.is_trusted(outside.parse().unwrap()), "{text}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0/8", "proxy.example", "::/129", "10.0.0.0/x"] {
            assert!(problem_of(text).is_some(), "{text}");
        }
    }

    #[test]
    fn the_beginning_of_the_path_is_taken_away_once() {
        let below = |path: &str| {
            let mut request = request("127.0.0.1", &[]);
            *request.uri_mut() = path.parse().unwrap();
            let answered = proxies(&[]).below(&mut request);
            (request.uri().to_string(), answered.map(|a| a.headers()[header::LOCATION].to_str().unwrap().to_owned()))
        };
        assert_eq!(below("/trade/sg-ai/api/overview?a=b"), ("/api/overview?a=b".to_owned(), None));
        assert_eq!(below("/trade/sg-ai/"), ("/".to_owned(), None));
        assert_eq!(below("/trade/sg-ai").1.as_deref(), Some("/trade/sg-ai/"));
        for path in ["/api/overview", "/trade/sg-aitch", "/"] {
            assert_eq!(below(path), (path.to_owned(), None));
        }
        for path in ["", "/a", "/a/b-c.d", "/sg-ai-1", "/ap"] {
            assert_eq!(path_problem(path), None, "{path}");
        }
        for path in ["/sg-ai", "/api", "/strategies", "/sg-ai/health", "a", "/", "/a/", "//a", "/a b", "/..", "/a?b"] {
            assert!(path_problem(path).is_some(), "{path}");
        }
    }
}
