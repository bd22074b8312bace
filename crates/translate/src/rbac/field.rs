//! One field of a rule with its values: what it is and the Envoy matchers of its values (security 4.3 to 4.5).

use proto::envoy::rbac::principal::{Authenticated, Identifier};
use proto::envoy::rbac::{Permission, Principal, permission, principal};

use super::text;
use crate::listener::cidr::Cidr;

/// What a field looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Hosts,
    Methods,
    Paths,
    Ports,
    DestinationIp,
    ServerName,
    /// Dynamic metadata of a filter: its name and the key.
    Metadata(&'a str, &'a str),
    DirectRemoteIp,
    RemoteIp,
    Namespaces,
    ServiceAccounts,
    Principals,
    RequestPrincipals,
    Audiences,
    Presenter,
    Claim(&'a str),
    Header(&'a str),
}

impl<'a> Field<'a> {
    /// The field that a condition's key names.
    pub(super) fn of_key(key: &'a str) -> Option<Self> {
        Some(match key {
            "source.ip" => Self::DirectRemoteIp,
            "remote.ip" => Self::RemoteIp,
            "source.namespace" => Self::Namespaces,
            "source.serviceAccount" => Self::ServiceAccounts,
            "source.principal" => Self::Principals,
            "request.auth.principal" => Self::RequestPrincipals,
            "request.auth.audiences" => Self::Audiences,
            "request.auth.presenter" => Self::Presenter,
            "destination.ip" => Self::DestinationIp,
            "destination.port" => Self::Ports,
            "connection.sni" => Self::ServerName,
            _ => {
                if let Some(name) = key.strip_prefix("request.headers") {
                    Self::Header(in_brackets(name).filter(|name| text::is_header_name(name))?)
                } else if let Some(claim) = key.strip_prefix("request.auth.claims") {
                    Self::Claim(in_brackets(claim)?)
                } else {
                    let filter = key.strip_prefix("experimental.")?;
                    let at = filter.find('[')?;
                    let (filter, name) = filter.split_at_checked(at)?;
                    let own = filter.strip_prefix("envoy.filters.")?;
                    (!own.is_empty()).then_some(Self::Metadata(filter, in_brackets(name)?))?
                }
            }
        })
    }

    /// Whether it is about what is asked for, and not about who asks.
    pub(super) fn is_permission(self) -> bool {
        use Field::{DestinationIp, Hosts, Metadata, Methods, Paths, Ports, ServerName};
        matches!(self, Hosts | Methods | Paths | Ports | DestinationIp | ServerName | Metadata(..))
    }

    /// Whether it can only be told of HTTP requests.
    pub(super) fn is_http(self) -> bool {
        use Field::{Audiences, Claim, Header, Hosts, Methods, Paths, Presenter, RequestPrincipals};
        matches!(
            self,
            Hosts | Methods | Paths | RequestPrincipals | Audiences | Presenter | Claim(_) | Header(_)
        )
    }

    /// The matchers of the values, one each; nothing where a value makes no sense.
    pub(super) fn permissions(self, values: &[String]) -> Vec<Option<permission::Rule>> {
        use permission::Rule;
        if let Self::Metadata(filter, key) = self {
            let of = |v: &String| match v.strip_prefix('[').and_then(|v| v.strip_suffix(']')) {
                Some(member) => text::list(text::value(text::text(member))),
                None => text::value(text::text(v)),
            };
            let value = text::any_of(values.iter().map(of).collect());
            #[expect(deprecated, reason = "the newer field is unknown to older proxies")]
            return vec![Some(Rule::Metadata(text::metadata(filter, &[key], value)))];
        }
        let one = |value: &String| {
            Some(match self {
                Self::Hosts => Rule::Header(text::header(":authority", value, true)),
                Self::Methods => Rule::Header(text::header(":method", value, false)),
                Self::Paths if text::is_template(value) => Rule::UriTemplate(text::template(value)?),
                Self::Paths => Rule::UrlPath(text::path(value)),
                Self::Ports => {
                    Rule::DestinationPort(value.parse::<u32>().ok().filter(|port| *port <= 65535)?)
                }
                Self::DestinationIp => Rule::DestinationIp(Cidr::parse(value)?.range()),
                Self::ServerName => Rule::RequestedServerName(text::text(value)),
                _ => return None,
            })
        };
        values.iter().map(one).collect()
    }

    /// The same of a field about who asks. `namespace` is that of the policy.
    pub(super) fn principals(self, values: &[String], namespace: &str) -> Vec<Option<Identifier>> {
        match self {
            Self::Audiences => return vec![Some(claim(&["aud"], values))],
            Self::Presenter => return vec![Some(claim(&["azp"], values))],
            Self::Claim(inner) => {
                let mut path: Vec<&str> = inner.split("][").collect();
                if path.iter().any(|key| key.is_empty() || key.contains(['[', ']'])) {
                    path = vec![inner];
                }
                return vec![Some(claim(&path, values))];
            }
            _ => {}
        }
        let one = |value: &String| {
            Some(match self {
                Self::DirectRemoteIp => Identifier::DirectRemoteIp(Cidr::parse(value)?.range()),
                Self::RemoteIp => Identifier::RemoteIp(Cidr::parse(value)?.range()),
                Self::Namespaces => {
                    let name = text::quoted(value).replace("\\*", ".*");
                    peer(text::regex(format!(".*/ns/{name}/.*")))
                }
                Self::ServiceAccounts => {
                    let (namespace, name) = value.split_once('/').unwrap_or((namespace, value));
                    let (namespace, name) = (text::quoted(namespace), text::quoted(name));
                    peer(text::regex(format!("spiffe://.+/ns/{namespace}/(.+/|)sa/{name}(/.+)?")))
                }
                Self::Principals => peer(spiffe(value)),
                Self::RequestPrincipals => request_principal(value),
                Self::Header(name) => Identifier::Header(text::header(name, value, false)),
                _ => return None,
            })
        };
        values.iter().map(one).collect()
    }

    /// Whether a single value stands without the list around it.
    pub(super) fn is_bare_when_single(self) -> bool {
        use Field::{Audiences, Claim, Metadata, Presenter, RequestPrincipals};
        matches!(self, Metadata(..) | Audiences | Presenter | Claim(_) | RequestPrincipals)
    }
}

/// A permission.
pub(super) fn permission(rule: permission::Rule) -> Permission {
    Permission { rule: Some(rule) }
}

/// A principal.
pub(super) fn principal(identifier: Identifier) -> Principal {
    Principal { identifier: Some(identifier) }
}

fn in_brackets(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']').filter(|inner| !inner.is_empty())
}

fn peer(name: proto::envoy::matcher::StringMatcher) -> Identifier {
    Identifier::Authenticated(Authenticated { principal_name: Some(name) })
}

fn spiffe(value: &str) -> proto::envoy::matcher::StringMatcher {
    if value == "*" {
        text::something()
    } else if let Some(end) = value.strip_prefix('*') {
        text::regex(format!("spiffe://.*{}", text::quoted(end)))
    } else if let Some(start) = value.strip_suffix('*') {
        text::prefix(&format!("spiffe://{start}"))
    } else {
        text::exact(&format!("spiffe://{value}"))
    }
}

fn claim(path: &[&str], values: &[String]) -> Identifier {
    #[expect(deprecated, reason = "the newer field is unknown to older proxies")]
    Identifier::Metadata(text::claim(path, values))
}

/// Issuer and subject of a token, which the last slash separates.
fn request_principal(value: &str) -> Identifier {
    let (issuer, subject) = if let Some(rest) = value.strip_prefix('*') {
        match rest.rsplit_once('/') {
            Some((issuer, subject)) => (text::suffix(issuer), text::exact(subject)),
            None => (text::something(), text::suffix(rest)),
        }
    } else if let Some(rest) = value.strip_suffix('*') {
        match rest.rsplit_once('/') {
            Some((issuer, subject)) => (text::exact(issuer), text::prefix(subject)),
            None => (text::prefix(rest), text::something()),
        }
    } else {
        let (issuer, subject) = value.rsplit_once('/').unwrap_or((value, ""));
        (text::exact(issuer), text::exact(subject))
    };
    #[expect(deprecated, reason = "the newer field is unknown to older proxies")]
    let of = |name: &str, matcher| {
        let value = text::value(matcher);
        principal(Identifier::Metadata(text::metadata(text::JWT_FILTER, &["payload", name], value)))
    };
    Identifier::AndIds(principal::Set { ids: vec![of("iss", issuer), of("sub", subject)] })
}
