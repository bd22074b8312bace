//! Identities that a gateway in front of us has verified and tells in `x-forwarded-client-cert`. Anybody can write
//! such a header, so it counts from the networks of those gateways and from this machine only (platform
//! specification, 2.8).

use std::net::SocketAddr;
use std::sync::Arc;

use ca::Identity;
use ipnet::IpNet;

use super::{Answer, Authenticator, Caller, Credentials, Refusal};
use crate::Trust;

/// Believes what trusted gateways say.
pub struct ForwardedAuthenticator {
    networks: Vec<IpNet>,
    trust: Arc<dyn Trust>,
}

/// A text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl ForwardedAuthenticator {
    /// Gateways are in these networks, each as `address/bits`, or on this machine; they speak for identities of trust
    /// domains that are ours.
    pub fn new(networks: &[String], trust: Arc<dyn Trust>) -> Result<Self, NetworkError> {
        let network = |text: &String| text.parse::<IpNet>().map_err(|_| NetworkError(text.clone()));
        Ok(Self { networks: networks.iter().map(network).collect::<Result<_, _>>()?, trust })
    }

    fn is_gateway(&self, address: SocketAddr) -> bool {
        let address = address.ip().to_canonical();
        address.is_loopback() || self.networks.iter().any(|network| network.contains(&address))
    }

    fn check(&self, header: &str, address: Option<SocketAddr>) -> Result<Caller, Refusal> {
        if !address.is_some_and(|address| self.is_gateway(address)) {
            return Err(Refusal("the header is not from a trusted gateway".to_owned()));
        }
        let identities: Vec<Identity> = last_uris(header)
            .iter()
            .filter_map(|uri| Identity::parse(uri).ok())
            .filter(|identity| self.trust.is_trusted(identity.trust_domain()))
            .collect();
        if identities.is_empty() {
            return Err(Refusal("the header names no identity of this mesh".to_owned()));
        }
        Ok(Caller { identities, by: self.name(), pod: None })
    }
}

impl Authenticator for ForwardedAuthenticator {
    fn name(&self) -> &'static str {
        "forwarded client certificate"
    }

    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
    ) -> Answer<'a, Result<Option<Caller>, Refusal>> {
        Box::pin(async move {
            match &credentials.forwarded {
                Some(header) => self.check(header, credentials.address).map(Some),
                None => Ok(None),
            }
        })
    }
}

/// Each `URI` of the last element: that is the client whom the gateway itself has seen. What stands before it was told
/// by others.
fn last_uris(header: &str) -> Vec<String> {
    let mut uris = Vec::new();
    let (mut part, mut in_quotes, mut is_escaped) = (String::new(), false, false);
    let end = |part: &mut String, uris: &mut Vec<String>| {
        if let Some((key, value)) = part.split_once('=')
            && key.trim().eq_ignore_ascii_case("uri")
        {
            uris.push(value.trim().to_owned());
        }
        part.clear();
    };
    for symbol in header.chars() {
        match symbol {
            _ if is_escaped => {
                is_escaped = false;
                part.push(symbol);
            }
            '\\' if in_quotes => is_escaped = true,
            '"' => in_quotes = !in_quotes,
            ';' if !in_quotes => end(&mut part, &mut uris),
            ',' if !in_quotes => {
                part.clear();
                uris.clear();
            }
            _ => part.push(symbol),
        }
    }
    if in_quotes {
        return Vec::new();
    }
    end(&mut part, &mut uris);
    uris
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identities(header: &str, from: &str) -> Option<Vec<String>> {
        let trust: Arc<dyn Trust> = Arc::new(Arc::<str>::from("td"));
        let gateways = ForwardedAuthenticator::new(&["10.1.0.0/16".to_owned()], trust).expect("a network");
        let caller = gateways.check(header, from.parse().ok()).ok()?;
        Some(caller.identities.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn only_gateways_and_this_machine_may_say_who_calls() {
        let header = "By=spiffe://td/ns/a/sa/gateway;Hash=00;URI=spiffe://td/ns/shop/sa/web";
        let shop = Some(vec!["spiffe://td/ns/shop/sa/web".to_owned()]);
        for from in ["10.1.2.3:1", "[::ffff:10.1.2.3]:1", "127.0.0.1:1", "[::1]:1"] {
            assert_eq!(identities(header, from), shop, "{from}");
        }
        for from in ["10.2.0.1:1", "192.0.2.1:1", "[2001:db8::1]:1", ""] {
            assert_eq!(identities(header, from), None, "{from}");
        }
    }

    #[test]
    fn what_others_have_put_before_or_into_the_header_counts_for_nothing() {
        let forged = "URI=spiffe://td/ns/istio-system/sa/istiod";
        let real =
            "Subject=\"CN=a,O=\\\"b\\\";URI=spiffe://td/ns/x/sa/x\";uri=\"spiffe://td/ns/shop/sa/web\"";
        let shop = Some(vec!["spiffe://td/ns/shop/sa/web".to_owned()]);
        assert_eq!(identities(&format!("{forged},{real}"), "10.1.0.1:1"), shop);
        assert_eq!(identities(&format!("Hash=1;{forged},Hash=2"), "10.1.0.1:1"), None);
        for header in ["", ";", "URI=", "URI=\"spiffe://td/ns/shop/sa/web", "URI=spiffe://other/ns/a/sa/b"] {
            assert_eq!(identities(header, "10.1.0.1:1"), None, "{header}");
        }
    }
}
