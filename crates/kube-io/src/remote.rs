//! A kubeconfig from a Secret becomes a client of a remote cluster. It is an order from whoever may write that Secret,
//! so nothing in it may run a program or read a file here unless the operator allowed it, only what is known is passed
//! on, and no error repeats a value of it. Answers "Multicluster" of the platform specification.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Map, Value, json};

/// The variable by which an operator allows what is refused.
const ALLOWING: &str = "PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS";
/// Larger ones are none that are meant.
const MAX_BYTES: usize = 1024 * 1024;
/// Names are cut here when they are repeated.
const MAX_NAME: usize = 60;
/// What is passed on of a cluster, and of a user; all of it text.
const OF_CLUSTER: &[&str] =
    &["server", "certificate-authority", "certificate-authority-data", "tls-server-name"];
const OF_USER: &[&str] = &[
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "token",
    "tokenFile",
    "as",
    "username",
    "password",
];
/// Members that name files, with what allows them where they are not allowed anyway.
const FILES: &[(&str, &str)] =
    &[("client-key", "clientKey"), ("client-certificate", "clientCertificate"), ("tokenFile", "tokenFile")];
/// Members that are bytes in base64.
const BASE64: &[&str] = &["certificate-authority-data", "client-certificate-data", "client-key-data"];

/// Why a kubeconfig is not used. Says where, and never what is written there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KubeconfigFault {
    /// There is nothing to read, or it is not of the right form.
    #[error("the kubeconfig {0}")]
    Unreadable(&'static str),
    /// A field has no usable value.
    #[error("the kubeconfig is not valid: {path} {reason}")]
    Invalid {
        /// Where.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// It asks for what must not be.
    #[error(
        "the kubeconfig is not allowed: {path} {danger}; put a token or certificate data into it, or allow it by \
         {ALLOWING}={option}"
    )]
    NotAllowed {
        /// Where.
        path: String,
        /// What it would do.
        danger: &'static str,
        /// The value that allows it.
        option: String,
    },
    /// The client refuses it.
    #[error("no client can be made of the kubeconfig: {0}")]
    Unusable(&'static str),
}

/// A kubeconfig that may be used. It never shows what is in it.
#[derive(Clone)]
pub struct RemoteConfig(Value);

impl fmt::Debug for RemoteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteConfig(..)")
    }
}

impl RemoteConfig {
    /// Reads and judges the value of a key of a Secret. `allowed` are the options that the operator allows: `exec`,
    /// `tokenFile`, `clientKey`, `clientCertificate`, and names of auth providers.
    pub fn read(bytes: &[u8], allowed: &BTreeSet<String>) -> Result<Self, KubeconfigFault> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(KubeconfigFault::Unreadable("is empty"));
        }
        if bytes.len() > MAX_BYTES {
            return Err(KubeconfigFault::Unreadable("is larger than a mebibyte"));
        }
        let text =
            std::str::from_utf8(bytes).map_err(|_| KubeconfigFault::Unreadable("is not UTF-8 text"))?;
        let documents =
            config::yaml::documents(text).map_err(|_| KubeconfigFault::Unreadable("is not YAML"))?;
        let [Value::Object(document)] = documents.as_slice() else {
            return Err(KubeconfigFault::Unreadable("is not one mapping"));
        };
        // All users are judged, also those that are not chosen.
        let users = named(document, "users", "user")?;
        for (path, _, user) in &users {
            check_user(path, user, allowed)?;
        }
        let current = match document.get("current-context").and_then(Value::as_str) {
            None | Some("") => return Err(invalid("current-context", "is not set")),
            Some(current) => current,
        };
        let contexts = named(document, "contexts", "context")?;
        let (path, _, context) = find(&contexts, current)
            .ok_or_else(|| invalid("current-context", "names a context that is not there"))?;
        let name = text_of(path, context, "cluster")?;
        let clusters = named(document, "clusters", "cluster")?;
        let (of_cluster, _, cluster) = find(&clusters, name.unwrap_or_default())
            .ok_or_else(|| invalid(&format!("{path}.cluster"), "names a cluster that is not there"))?;
        let cluster = read_cluster(of_cluster, cluster)?;
        let user = match text_of(path, context, "user")?.filter(|name| !name.is_empty()) {
            None => json!({}),
            Some(name) => match find(&users, name) {
                Some((path, _, user)) => read_user(path, user)?,
                None => return Err(invalid(&format!("{path}.user"), "names a user that is not there")),
            },
        };
        Ok(Self(json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "remote",
            "contexts": [{"name": "remote", "context": {"cluster": "remote", "user": "remote"}}],
            "clusters": [{"name": "remote", "cluster": cluster}],
            "users": [{"name": "remote", "user": user}],
        })))
    }

    /// A client of that cluster. Nothing is sent yet, but an allowed plugin is run.
    pub async fn connect(&self) -> Result<Client, KubeconfigFault> {
        for member in ["/clusters/0/cluster/certificate-authority", "/users/0/user/tokenFile"]
            .into_iter()
            .chain(["/users/0/user/client-key", "/users/0/user/client-certificate"])
        {
            if let Some(file) = self.0.pointer(member).and_then(Value::as_str) {
                check_file(Path::new(file))?;
            }
        }
        // The errors of these readers repeat what they read.
        let unusable = KubeconfigFault::Unusable;
        let read: Kubeconfig = serde_json::from_value(self.0.clone())
            .map_err(|_| unusable("exec or auth-provider is not written as kubectl reads it"))?;
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(read, &options)
            .await
            .map_err(|_| unusable("the server's address or its certificate authority cannot be read"))?;
        config.connect_timeout = Some(Duration::from_secs(10));
        Client::try_from(config).map_err(|error| {
            unusable(match error {
                kube::Error::Auth(_) => "its credentials cannot be used, or its plugin failed",
                kube::Error::RustlsTls(_) => "its certificates or keys cannot be used",
                _ => "the client refuses it",
            })
        })
    }
}

/// The entries of one of the three lists: path, name, and what is under the name.
type Named<'a> = (String, &'a str, &'a Map<String, Value>);

fn named<'a>(
    document: &'a Map<String, Value>,
    list: &str,
    member: &str,
) -> Result<Vec<Named<'a>>, KubeconfigFault> {
    let items = match document.get(list) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(invalid(list, "is not a list")),
    };
    let entry = |(index, item): (usize, &'a Value)| {
        let path = format!("{list}[{index}]");
        let name = item.get("name").and_then(Value::as_str).ok_or_else(|| invalid(&path, "has no name"))?;
        let path = format!("{list}[{}].{member}", readable(name));
        let Some(Value::Object(content)) = item.get(member) else {
            return Err(invalid(&path, "is not a mapping"));
        };
        Ok((path, name, content))
    };
    // A user without anything is one without credentials.
    let is_something = |(_, item): &(usize, &Value)| list != "users" || !item[member].is_null();
    items.iter().enumerate().filter(is_something).map(entry).collect()
}

fn find<'n, 'a>(entries: &'n [Named<'a>], name: &str) -> Option<&'n Named<'a>> {
    entries.iter().find(|(_, known, _)| *known == name)
}

fn check_user(
    path: &str,
    user: &Map<String, Value>,
    allowed: &BTreeSet<String>,
) -> Result<(), KubeconfigFault> {
    let not_allowed = |member: &str, danger, option: &str| KubeconfigFault::NotAllowed {
        path: format!("{path}.{member}"),
        danger,
        option: option.to_owned(),
    };
    let is_set = |member: &str| !matches!(user.get(member), None | Some(Value::Null));
    if is_set("auth-provider") {
        let name = user["auth-provider"].get("name").and_then(Value::as_str).unwrap_or_default();
        if name != "oidc" && !allowed.contains(name) {
            return Err(not_allowed("auth-provider", "may run a program", &readable(name)));
        }
    }
    for (member, option) in FILES {
        if text_of(path, user, member)?.is_some_and(|file| !file.is_empty()) && !allowed.contains(*option) {
            return Err(not_allowed(member, "reads a file of the control plane", option));
        }
    }
    if is_set("exec") && !allowed.contains("exec") {
        return Err(not_allowed("exec", "runs a program", "exec"));
    }
    Ok(())
}

fn read_cluster(path: &str, cluster: &Map<String, Value>) -> Result<Value, KubeconfigFault> {
    let mut read = texts(path, cluster, OF_CLUSTER)?;
    let server = read.get("server").and_then(Value::as_str).unwrap_or_default();
    let at_server = |reason| invalid(&format!("{path}.server"), reason);
    let address: http::Uri = server.parse().map_err(|_| at_server("is not a URL"))?;
    if !matches!(address.scheme_str(), Some("http" | "https")) || address.host().is_none_or(str::is_empty) {
        return Err(at_server("is not a URL that begins with https:// or http://"));
    }
    if text_of(path, cluster, "proxy-url")?.is_some_and(|url| !url.is_empty()) {
        return Err(invalid(&format!("{path}.proxy-url"), "is not supported"));
    }
    match cluster.get("insecure-skip-tls-verify") {
        None | Some(Value::Null) => {}
        Some(Value::Bool(skip)) => {
            read.insert("insecure-skip-tls-verify".to_owned(), (*skip).into());
        }
        Some(_) => return Err(invalid(&format!("{path}.insecure-skip-tls-verify"), "is not true or false")),
    }
    Ok(Value::Object(read))
}

fn read_user(path: &str, user: &Map<String, Value>) -> Result<Value, KubeconfigFault> {
    let mut read = texts(path, user, OF_USER)?;
    if let Some(groups) = user.get("as-groups").filter(|groups| !groups.is_null()) {
        let is_text = |list: &Vec<Value>| list.iter().all(Value::is_string);
        if !groups.as_array().is_some_and(is_text) {
            return Err(invalid(&format!("{path}.as-groups"), "is not a list of texts"));
        }
        read.insert("as-groups".to_owned(), groups.clone());
    }
    // Allowed, as they would have been refused before.
    for member in ["exec", "auth-provider"] {
        if let Some(content) = user.get(member).filter(|content| !content.is_null()) {
            read.insert(member.to_owned(), content.clone());
        }
    }
    Ok(Value::Object(read))
}

/// Those of the members that say something.
fn texts(
    path: &str,
    from: &Map<String, Value>,
    members: &[&str],
) -> Result<Map<String, Value>, KubeconfigFault> {
    let mut read = Map::new();
    for member in members {
        let Some(text) = text_of(path, from, member)?.filter(|text| !text.is_empty()) else { continue };
        if BASE64.contains(member) && config::k8s::decode_base64(text).is_none() {
            return Err(invalid(&format!("{path}.{member}"), "is not base64"));
        }
        read.insert((*member).to_owned(), text.into());
    }
    Ok(read)
}

fn text_of<'a>(
    path: &str,
    from: &'a Map<String, Value>,
    member: &str,
) -> Result<Option<&'a str>, KubeconfigFault> {
    match from.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(&format!("{path}.{member}"), "is not text")),
    }
}

/// A file that ends, and soon.
fn check_file(file: &Path) -> Result<(), KubeconfigFault> {
    let is_sound = std::fs::metadata(file)
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_BYTES as u64);
    let fault = KubeconfigFault::Unusable("a file that it names is not there, is none, or is too large");
    is_sound.then_some(()).ok_or(fault)
}

fn invalid(path: &str, reason: &'static str) -> KubeconfigFault {
    KubeconfigFault::Invalid { path: path.to_owned(), reason }
}

/// A name as it may be repeated: short, and on one line.
fn readable(name: &str) -> String {
    name.chars().take(MAX_NAME).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "c3ViamVjdA";

    fn kubeconfig(user: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:6443"}}],
            "contexts": [{"name": "c", "context": {"cluster": "a", "user": "u"}}],
            "users": [{"name": "u", "user": user}]})
    }

    fn read(document: &Value, allowed: &[&str]) -> Result<RemoteConfig, String> {
        let allowed = allowed.iter().map(|option| (*option).to_owned()).collect();
        RemoteConfig::read(document.to_string().as_bytes(), &allowed).map_err(|fault| fault.to_string())
    }

    #[test]
    fn what_runs_a_program_or_reads_a_file_is_refused_until_it_is_allowed() {
        for (user, member, option) in [
            (json!({"exec": {"command": "/bin/sh"}}), "exec", "exec"),
            (json!({"auth-provider": {"name": "gcp"}}), "auth-provider", "gcp"),
            (json!({"tokenFile": "/var/run/secrets/token"}), "tokenFile", "tokenFile"),
            (json!({"client-key": "/etc/key"}), "client-key", "clientKey"),
            (json!({"client-certificate": "/etc/crt"}), "client-certificate", "clientCertificate"),
        ] {
            let mut document = kubeconfig(user.clone());
            let refused = read(&document, &[]).expect_err("refused");
            assert!(refused.contains(&format!("users[u].user.{member}")), "{refused}");
            assert!(refused.contains(&format!("{ALLOWING}={option}")), "{refused}");
            read(&document, &[option]).expect("allowed");
            // A user that is not chosen is judged, too.
            let chosen = json!({"name": "u", "user": {"token": SECRET}});
            document["users"] = json!([chosen, {"name": "other", "user": user}]);
            read(&document, &[]).expect_err("refused");
        }
        read(&kubeconfig(json!({"token": SECRET})), &[]).expect("a token is fine");
    }

    #[test]
    fn errors_say_where_and_never_what() {
        let good = || kubeconfig(json!({"token": SECRET}));
        let mut faults = vec![
            ("current-context", json!("x"), "current-context names a context that is not there"),
            ("current-context", json!(null), "current-context is not set"),
            ("users", json!(SECRET), "users is not a list"),
            ("users", json!([{"name": "u", "user": SECRET}]), "users[u].user is not a mapping"),
            ("users", json!([{"name": "u", "user": {"token": [SECRET]}}]), "users[u].user.token is not text"),
            ("users", json!([]), "contexts[c].context.user names a user that is not there"),
            ("clusters", json!([]), "contexts[c].context.cluster names a cluster that is not there"),
        ];
        let long = "n\n".repeat(500);
        faults.push(("users", json!([{"name": long, "user": {"exec": {}}}]), "runs a program"));
        let data = json!([{"name": "u", "user": {"client-key-data": format!("{SECRET}!")}}]);
        faults.push(("users", data, "users[u].user.client-key-data is not base64"));
        for server in ["", "127.0.0.1", "ftp://a", "https://"] {
            let clusters = json!([{"name": "a", "cluster": {"server": server}}]);
            faults.push(("clusters", clusters, "clusters[a].cluster.server is not a URL"));
        }
        let proxied = json!([{"name": "a", "cluster": {"server": "https://a", "proxy-url": SECRET}}]);
        faults.push(("clusters", proxied, "clusters[a].cluster.proxy-url is not supported"));
        for (member, value, expected) in faults {
            let mut document = good();
            document[member] = value;
            let fault = read(&document, &[]).expect_err(expected);
            assert!(fault.contains(expected), "{fault}");
            assert!(!fault.contains(SECRET) && fault.len() < 400 && !fault.contains('\n'), "{fault}");
        }
        for (text, expected) in [
            (" \n", "is empty"),
            ("- a", "is not one mapping"),
            ("{a: ", "is not YAML"),
            ("a: 1\n---\nb: 1\n", "is not one mapping"),
        ] {
            let fault = RemoteConfig::read(text.as_bytes(), &BTreeSet::new()).expect_err("refused");
            assert!(fault.to_string().contains(expected), "{fault}");
        }
        assert!(RemoteConfig::read(&[0xff, 0xfe], &BTreeSet::new()).is_err());
        assert!(!format!("{:?}", read(&good(), &[]).expect("good")).contains(SECRET));
    }

    #[tokio::test]
    async fn files_that_do_not_end_are_not_read() {
        let mut document = kubeconfig(json!({"token": SECRET}));
        document["clusters"][0]["cluster"]["certificate-authority"] = json!("/dev/zero");
        let fault = read(&document, &[]).expect("as istiod").connect().await.err().expect("refused");
        assert!(fault.to_string().contains("a file that it names"), "{fault}");
    }
}
