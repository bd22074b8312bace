//! Certificates as others read them, and requests that must be refused.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use x509_parser::prelude::*;

use super::*;
use crate::authority::pem;

pub(crate) const NOW: UnixSeconds = 1_800_000_000;
pub(crate) const AT: Moment = Moment { now: NOW, serial: [7; 16] };

/// An EC key as PEM (PKCS#8).
pub(crate) fn ec_key() -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    pem("PRIVATE KEY", pair.to_pkcs8v1().expect("written").as_ref())
}

fn rsa_key() -> String {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Vec<u8> = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("written").as_ref().to_vec();
    pem("PRIVATE KEY", &der)
}

pub(crate) fn root(key: &str) -> Material {
    let private = PrivateKey::from_pem(key).expect("a key");
    let certificate = Authority::self_signed(&private, "cluster.local", 1000, AT).expect("signed");
    Material { certificate, key: key.to_owned(), ..Material::default() }
}

/// An authority of its own, with a new key.
pub(crate) fn authority() -> Authority {
    Authority::new(&root(&ec_key()), NOW).expect("sound")
}

fn request(key: &PrivateKey, common_name: Option<&str>) -> String {
    Csr::request_as(key, common_name).expect("signed")
}

#[test]
fn a_leaf_says_who_it_is_for_and_what_it_may() {
    for key in [ec_key(), rsa_key()] {
        let authority = Authority::new(&root(&key), NOW).expect("sound");
        let workload = PrivateKey::from_pem(&ec_key()).expect("a key");
        let csr = Csr::from_pem(&request(&workload, None)).expect("sound");
        let identity = Identity::new("cluster.local", "shop", "web").expect("sound");
        let issued = authority.issue(&csr, &identity, 0, Lifetimes::default(), AT).expect("issued");
        assert_eq!(issued.chain.len(), 1, "the root is no intermediate");
        assert_eq!(issued.not_after, NOW + 1000, "never longer than the authority");
        let (_, parsed) = parse_x509_pem(issued.chain[0].as_bytes()).expect("PEM");
        let leaf = parsed.parse_x509().expect("a certificate");
        assert_eq!(leaf.validity().not_before.timestamp(), NOW - 120);
        assert_eq!(leaf.public_key().raw, workload.public_key());
        assert!(!leaf.is_ca());
        let names = leaf.subject_alternative_name().expect("readable").expect("present");
        assert!(names.critical, "an empty subject makes the names critical");
        assert_eq!(names.value.general_names, [GeneralName::URI("spiffe://cluster.local/ns/shop/sa/web")]);
        let (_, root) = parse_x509_pem(issued.roots.as_bytes()).expect("PEM");
        let root = root.parse_x509().expect("a certificate");
        assert_eq!(leaf.issuer().as_raw(), root.subject().as_raw());
        let signed = leaf.tbs_certificate.as_ref();
        let held =
            verify::verify(root.public_key(), &leaf.signature_algorithm, signed, &leaf.signature_value.data);
        assert_eq!(held, Ok(()));
    }
}

#[test]
fn a_common_name_in_the_request_becomes_that_of_the_identity() {
    let authority = Authority::new(&root(&ec_key()), NOW).expect("sound");
    let workload = PrivateKey::from_pem(&ec_key()).expect("a key");
    let csr = Csr::from_pem(&request(&workload, Some("admin"))).expect("sound");
    let identity = Identity::new("td", "a", "b").expect("sound");
    let issued = authority.issue(&csr, &identity, 60, Lifetimes::default(), AT).expect("issued");
    let (_, parsed) = parse_x509_pem(issued.chain[0].as_bytes()).expect("PEM");
    let leaf = parsed.parse_x509().expect("a certificate");
    assert_eq!(leaf.subject().to_string(), "CN=spiffe://td/ns/a/sa/b");
    assert_eq!(issued.not_after, NOW + 60);
}

#[test]
fn longer_than_allowed_is_refused_and_an_expired_authority_issues_nothing() {
    let authority = Authority::new(&root(&ec_key()), NOW).expect("sound");
    let workload = PrivateKey::from_pem(&ec_key()).expect("a key");
    let csr = Csr::from_pem(&request(&workload, None)).expect("sound");
    let identity = Identity::new("td", "a", "b").expect("sound");
    let limits = Lifetimes { default: 10, max: 20 };
    let issue =
        |lifetime, at| authority.issue(&csr, &identity, lifetime, limits, at).map(|issued| issued.not_after);
    assert_eq!(issue(21, AT), Err(IssueError::TooLong { asked: 21, max: 20 }));
    assert_eq!(issue(20, AT), Ok(NOW + 20));
    assert_eq!(issue(-5, AT), Ok(NOW + 10));
    assert_eq!(issue(1, Moment { now: NOW + 1000, ..AT }), Err(IssueError::Expired));
}

#[test]
fn a_renewed_root_keeps_name_and_key_so_old_leaves_hold() {
    let key = ec_key();
    let authority = Authority::new(&root(&key), NOW).expect("sound");
    let later = Moment { now: NOW + 900, serial: [9; 16] };
    let renewed = authority.renewed(1000, later).expect("signed");
    let next = Authority::new(&Material { certificate: renewed, key, ..Material::default() }, NOW + 900);
    let next = next.expect("sound");
    assert_eq!([775, 777].map(|since| authority.is_due(NOW + since, 20)), [false, true]);
    assert_eq!(next.name, authority.name);
    assert_eq!((next.begins(), next.expires()), (NOW + 780, NOW + 1900));
}

#[test]
fn material_that_does_not_fit_together_is_refused_with_a_reason() {
    let (key, other) = (ec_key(), ec_key());
    let good = root(&key);
    let fault = |material: Material, now| Authority::new(&material, now).expect_err("refused").to_string();
    assert!(
        fault(Material { key: other.clone(), ..good.clone() }, NOW).contains("not that of the certificate")
    );
    assert!(
        fault(Material { roots: root(&other).certificate, ..good.clone() }, NOW).contains("does not lead")
    );
    assert!(fault(good.clone(), NOW + 1000).contains("ran out"));
    assert!(fault(good.clone(), NOW - 5000).contains("valid from"));
    assert!(
        fault(Material { certificate: "x".into(), ..good.clone() }, NOW)
            .contains("certificate cannot be read")
    );
    assert!(fault(Material { key: String::new(), ..good.clone() }, NOW).contains("no private key"));
    let authority = Authority::new(&good, NOW).expect("sound");
    let leaf_key = PrivateKey::from_pem(&other).expect("a key");
    let leaf = authority.issue_server(leaf_key.public_key(), &["a.test".into()], 10, AT).expect("issued");
    let leaf = Material {
        certificate: leaf.chain[0].clone(),
        key: other,
        roots: good.certificate,
        ..Material::default()
    };
    assert!(fault(leaf, NOW).contains("not that of an authority"));
    assert!(!format!("{:?}", root(&key)).contains("PRIVATE"), "keys are not shown");
}

#[test]
fn requests_with_a_forged_signature_or_a_weak_key_are_refused() {
    let key = PrivateKey::from_pem(&ec_key()).expect("a key");
    let text = request(&key, None);
    assert!(Csr::from_pem(&text).is_ok());
    let (_, good) = parse_x509_pem(text.as_bytes()).expect("PEM");
    let mut forged = good.contents.clone();
    *forged.last_mut().expect("bytes") ^= 1;
    assert!(matches!(Csr::from_der(&forged), Err(CsrError::WrongSignature)));
    assert_eq!(Csr::from_der(&[&good.contents[..], &[0]].concat()), Err(CsrError::Malformed));
    for end in 0..good.contents.len() {
        assert!(Csr::from_der(&good.contents[..end]).is_err());
    }
    assert_eq!(Csr::from_pem(""), Err(CsrError::Malformed));
    assert_eq!(Csr::from_pem(&"a".repeat(70_000)), Err(CsrError::TooLong));
    let pkcs8 = PrivateKeyDer::try_from(vec![1, 2, 3]);
    assert!(pkcs8.is_err() || PrivateKey::from_der(&pkcs8.expect("DER")).is_err());
}
