//! Authorities as operators make them with `openssl`: a root, intermediates below it, certificates for servers and
//! clients. So the tests plug in and present what another program has made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

const SETTINGS: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
O = example
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
";

/// A key and its certificate, both as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// Without what leads to the root.
    pub certificate: String,
    pub key: String,
}

/// Who signs.
#[derive(Clone, Debug)]
pub struct Issuer {
    folder: PathBuf,
    name: String,
    /// Its own.
    pub certified: Certified,
}

impl Issuer {
    /// A root; its files go to the folder.
    pub fn root(folder: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let settings = folder.join(format!("{name}.cnf"));
        fs::write(&settings, SETTINGS)?;
        let [certificate, key] = paths(folder, name);
        let mut command = openssl("req");
        command.args(["-x509", "-new", "-days", "30", "-extensions", "authority"]).args(new_key(name));
        command.arg("-config").arg(&settings).arg("-keyout").arg(&key).arg("-out").arg(&certificate);
        run(&mut command)?;
        Self::read(folder, name)
    }

    /// An authority below this one.
    pub fn intermediate(&self, name: &str) -> Result<Self> {
        self.sign(name, SETTINGS, "authority")?;
        Self::read(&self.folder, name)
    }

    /// A certificate for a name, as `DNS:shop.example.com` or `URI:spiffe://…`; servers and clients may use it.
    pub fn issue(&self, name: &str, subject: &str) -> Result<Certified> {
        let settings = format!(
            "{SETTINGS}[leaf]\nbasicConstraints = critical, CA:FALSE\nkeyUsage = critical, \
             digitalSignature\nextendedKeyUsage = serverAuth, clientAuth\nsubjectAltName = {subject}\n"
        );
        self.sign(name, &settings, "leaf")?;
        Ok(Self::read(&self.folder, name)?.certified)
    }

    fn sign(&self, name: &str, settings: &str, section: &str) -> Result<()> {
        let file = |ending: &str| self.folder.join(format!("{name}.{ending}"));
        fs::write(file("cnf"), settings)?;
        let [certificate, key] = paths(&self.folder, name);
        let mut command = openssl("req");
        command.arg("-new").args(new_key(name)).arg("-config").arg(file("cnf"));
        command.arg("-keyout").arg(&key).arg("-out").arg(file("csr"));
        run(&mut command)?;
        let [own, own_key] = paths(&self.folder, &self.name);
        let mut command = openssl("x509");
        command.args(["-req", "-days", "30", "-extensions", section]).arg("-extfile").arg(file("cnf"));
        command.arg("-in").arg(file("csr")).arg("-CA").arg(own).arg("-CAkey").arg(own_key);
        command.args(["-CAcreateserial", "-out"]).arg(&certificate);
        run(&mut command)
    }

    fn read(folder: &Path, name: &str) -> Result<Self> {
        let [certificate, key] = paths(folder, name);
        let certified =
            Certified { certificate: fs::read_to_string(certificate)?, key: fs::read_to_string(key)? };
        Ok(Self { folder: folder.to_path_buf(), name: name.to_owned(), certified })
    }
}

fn paths(folder: &Path, name: &str) -> [PathBuf; 2] {
    [folder.join(format!("{name}.crt")), folder.join(format!("{name}.key"))]
}

fn new_key(name: &str) -> Vec<String> {
    let subject = format!("/O=example/CN={name}");
    let arguments = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", &subject];
    arguments.map(str::to_owned).to_vec()
}

fn openssl(what: &str) -> Command {
    let mut command = Command::new("openssl");
    command.arg(what).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().context("openssl")?;
    if !output.status.success() {
        bail!("openssl: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
