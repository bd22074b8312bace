//! Ten thousand signing requests and tokens made by chance, most of them wrong in one way: each is refused with the
//! status that agents know, or brings a certificate of exactly the caller's identity.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use ca::{Identity, PrivateKey};
use proto::istio::certificates::IstioCertificateRequest;
use proto::wkt;
use server::KeyKind;
use testkit::secure::{TokenIssuer, create_certificate, now};
use tonic::Code;
use tonic::transport::Channel;

use super::secure::{der_of, secure};
use super::*;

const N_TASKS: u64 = 8;
const N_EACH: u64 = 1250;
/// Stands in every name that is asked for and must stand in none that is given.
const FOREIGN: &str = "foreign";

/// The same numbers at every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n_sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n_sides
    }

    fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.roll(all.len() as u64) as usize]
    }

    fn place<T>(&mut self, list: &[T]) -> usize {
        self.roll(list.len() as u64) as usize
    }
}

/// A value in DER: tag, length, content.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    if content.len() < 0x80 {
        out.push(content.len() as u8);
    } else {
        out.push(0x83);
        out.extend_from_slice(&(content.len() as u32).to_be_bytes()[1..]);
        // The shortest form is the only one that is allowed.
        if content.len() < 0x100 {
            out.splice(1..5, [0x81, content.len() as u8]);
        } else if content.len() < 0x1_0000 {
            out.splice(1..3, [0x82]);
        }
    }
    out.extend_from_slice(&content);
    out
}

struct Key {
    pair: EcdsaKeyPair,
    public: Vec<u8>,
}

impl Key {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let pem = PrivateKey::pem_of(pair.to_pkcs8v1().unwrap().as_ref());
        let public = PrivateKey::from_pem(&pem).unwrap().public_key().to_vec();
        Self { pair, public }
    }

    /// A request for `public` with these names, signed by this key.
    fn request(&self, public: &[u8], common_name: Option<&str>, names: &[Vec<u8>]) -> Vec<u8> {
        let oid = |bytes: &[u8]| tlv(6, &[bytes]);
        let common_name = common_name
            .map(|text| tlv(0x31, &[&tlv(0x30, &[&oid(&[0x55, 4, 3]), &tlv(0x0c, &[text.as_bytes()])])]));
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let extension = tlv(0x30, &[&oid(&[0x55, 0x1d, 0x11]), &tlv(4, &[&tlv(0x30, &names)])]);
        let wish = oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14]);
        let attribute = tlv(0x30, &[&wish, &tlv(0x31, &[&tlv(0x30, &[&extension])])]);
        let attributes = if names.is_empty() { tlv(0xa0, &[]) } else { tlv(0xa0, &[&attribute]) };
        let subject = tlv(0x30, &[&common_name.unwrap_or_default()]);
        let info = tlv(0x30, &[&tlv(2, &[&[0]]), &subject, public, &attributes]);
        let signature = self.pair.sign(&SystemRandom::new(), &info).unwrap();
        let algorithm = tlv(0x30, &[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])]);
        tlv(0x30, &[&info, &algorithm, &tlv(3, &[&[0], signature.as_ref()])])
    }
}

fn pem(der: &[u8]) -> String {
    PrivateKey::pem_of(der).replace("PRIVATE KEY", "CERTIFICATE REQUEST")
}

/// Keys that nobody should use: RSA with few bits, a curve that is not supported, an unknown kind.
fn weak_key(dice: &mut Dice) -> Vec<u8> {
    let oid = |bytes: &[u8]| tlv(6, &[bytes]);
    let rsa = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    let (algorithm, bits) = match dice.roll(3) {
        0 => {
            let n_bytes = [64, 96, 128, 255, 1100][dice.roll(5) as usize];
            let mut modulus = vec![0x7f; n_bytes];
            modulus[n_bytes - 1] = 0x8d;
            let key = tlv(0x30, &[&tlv(2, &[&modulus]), &tlv(2, &[&[1, 0, 1]])]);
            (tlv(0x30, &[&oid(&rsa), &[5, 0]]), key)
        }
        1 => {
            let curve = oid(&[0x2b, 0x81, 4, 0, 10]);
            (tlv(0x30, &[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]), &curve]), vec![4; 65])
        }
        _ => (tlv(0x30, &[&oid(&[0x2a, 3, 4])]), vec![1; 32]),
    };
    tlv(0x30, &[&algorithm, &tlv(3, &[&[0], &bits])])
}

/// A request, and whether it is sound; `None` where chance decides that.
fn csr(dice: &mut Dice, key: &Key, other: &Key) -> (String, Option<bool>) {
    let uri = |host: &str| tlv(0x86, &[format!("spiffe://cluster.local/ns/{FOREIGN}/sa/{host}").as_bytes()]);
    let dns = |host: &str| tlv(0x82, &[format!("{host}.{FOREIGN}.test").as_bytes()]);
    let good = key.request(&key.public, None, &[]);
    match dice.roll(10) {
        0 => (pem(&good), Some(true)),
        1 => {
            let names = match dice.roll(3) {
                0 => vec![uri("admin")],
                1 => vec![dns("istiod"), uri("admin"), dns("*")],
                _ => (0..dice.roll(300)).map(|number| uri(&number.to_string())).collect(),
            };
            let name = [None, Some(FOREIGN), Some("foreign\0"), Some("")][dice.roll(4) as usize];
            (pem(&key.request(&key.public, name, &names)), Some(true))
        }
        2 => (pem(&other.request(&key.public, None, &[uri("admin")])), Some(false)),
        3 => (pem(&key.request(&weak_key(dice), None, &[])), Some(false)),
        4 => (pem(&good[..dice.place(&good)]), Some(false)),
        5 => {
            let text = pem(&good);
            (text[..dice.place(&text.as_bytes()[..text.len() - 2])].to_owned(), Some(false))
        }
        6 => {
            let mut bytes = good;
            for _ in 0..=dice.roll(3) {
                let place = dice.place(&bytes);
                bytes[place] ^= 1 << dice.roll(8);
            }
            (pem(&bytes), None)
        }
        7 => (pem(&[good, vec![0; 1 + dice.roll(9) as usize]].concat()), Some(false)),
        8 => (format!("{}{}", "A".repeat(65_000 + dice.roll(9000) as usize), pem(&good)), Some(false)),
        _ => {
            let text =
                ["", "no", "-----BEGIN CERTIFICATE REQUEST-----\n", "\0\u{7f}", "-----BEGIN \n-----END"];
            (dice.pick(&text).to_owned(), Some(false))
        }
    }
}

/// A token, and whom it is for if it is sound.
fn token(dice: &mut Dice, issuer: &TokenIssuer, forger: &TokenIssuer) -> (Option<String>, Option<Identity>) {
    let parts = ["shop", "web", "a/b", "..", "", "A", "shop%2f", "x:y", "web.v1", "\u{e9}", "a b"];
    let (namespace, account) = match dice.roll(2) {
        0 => ("shop", "web"),
        _ => (dice.pick(&parts), dice.pick(&parts)),
    };
    let user = format!("system:serviceaccount:{namespace}:{account}");
    let claims = |audience: &str, from: u64, until: Option<u64>| json!({"iss": "https://issuer.test", "aud": audience, "sub": user, "nbf": from, "exp": until});
    let later = Some(now() + 3600);
    let good = issuer.sign(&claims("istio-ca", 0, later));
    let wrong = match dice.roll(20) {
        0 => None,
        // More headers than 16 KiB never get as far as us.
        1 => Some("garbage".repeat(dice.roll(2000) as usize)),
        2 => Some(good[..dice.place(good.as_bytes())].to_owned()),
        3 => Some(forger.sign(&claims("istio-ca", 0, later))),
        4 => Some(issuer.sign(&claims("elsewhere", 0, later))),
        5 => Some(issuer.sign(&claims("istio-ca", 0, Some(now() - 1)))),
        6 => Some(issuer.sign(&claims("istio-ca", now() + 600, later))),
        7 => Some(issuer.sign(&claims("istio-ca", 0, None))),
        8 => Some(format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap())),
        9 => {
            let rest = good.split_once('.').unwrap().1;
            Some(format!("eyJhbGciOiJIUzI1NiIsImtpZCI6Im9uZSJ9.{rest}"))
        }
        // The last symbol of a part may stand for fewer than six bits.
        10 => Some(good.replacen(&good[good.len() - 8..good.len() - 7], "_-", 1)),
        _ => {
            let is_one = !account.contains(':');
            let identity = Identity::new("cluster.local", namespace, account).ok().filter(|_| is_one);
            return (Some(good), identity);
        }
    };
    (wrong, None)
}

/// Metadata of a request.
fn wish(key: &str, text: &str) -> wkt::Struct {
    let value = wkt::Value { kind: Some(wkt::value::Kind::StringValue(text.to_owned())) };
    wkt::Struct { fields: [(key.to_owned(), value)].into() }
}

/// One task's share. Returns how many certificates were issued.
async fn besiege(channel: Channel, issuer: Arc<TokenIssuer>, seed: u64) -> usize {
    let mut dice = Dice(seed);
    let (key, other) = (Key::new(), Key::new());
    let forger = TokenIssuer::new("https://issuer.test").unwrap();
    let mut n_issued = 0;
    for round in 0..N_EACH {
        let (csr, is_sound) = csr(&mut dice, &key, &other);
        let (token, identity) = token(&mut dice, &issuer, &forger);
        let lifetime = [0, -1, 60, i64::MIN, i64::MAX, 90 * 86_400 + 1][dice.roll(6) as usize];
        let is_too_long = lifetime > 90 * 86_400;
        let wishes = match dice.roll(10) {
            0 => Some(wish("ImpersonatedIdentity", "spiffe://cluster.local/ns/a/sa/b")),
            1 => Some(wish("Other", "x")),
            _ => None,
        };
        let acts_for_others =
            wishes.as_ref().is_some_and(|it| it.fields.contains_key("ImpersonatedIdentity"));
        let request =
            IstioCertificateRequest { csr: csr.clone(), validity_duration: lifetime, metadata: wishes };
        let answer = create_certificate(&channel, token.as_deref(), request).await;
        let told = format!("task {seed}, round {round}: {csr:.2000}\n{token:?}\n{answer:?}");
        match (&identity, is_sound) {
            (None, _) => assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated, "{told}"),
            _ if acts_for_others => assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated, "{told}"),
            (_, Some(false)) => assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument, "{told}"),
            (_, Some(true)) if is_too_long => {
                assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument, "{told}");
            }
            (Some(identity), sound) => match answer {
                Err(status) => {
                    assert_eq!((sound, status.code()), (None, Code::InvalidArgument), "{told}");
                }
                Ok(reply) => {
                    n_issued += 1;
                    let leaf = der_of(&reply[0]);
                    assert_eq!(ca::identities_of(&leaf), std::slice::from_ref(identity), "{told}");
                    let has =
                        |part: &str| leaf.windows(part.len()).filter(|it| *it == part.as_bytes()).count();
                    assert_eq!(has(FOREIGN), 0, "{told}");
                    assert!(
                        (1..=2).contains(&has("spiffe://")),
                        "once as a name, perhaps in the subject: {told}"
                    );
                }
            },
        }
    }
    n_issued
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_requests_made_by_chance_bring_nobody_a_foreign_identity() {
    let secure = secure(KeyKind::P256).await;
    let issuer = Arc::new(secure.tokens);
    let channel = testkit::secure::connect(secure.address, "istiod.istio-system.svc", &secure.roots, None);
    let channel = channel.await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..N_TASKS {
        tasks.spawn(besiege(channel.clone(), Arc::clone(&issuer), seed));
    }
    let n_issued: usize = tasks.join_all().await.into_iter().sum();
    // If next to nothing were sound, next to nothing would be tried.
    assert!(n_issued > 100, "{n_issued} of {}", N_TASKS * N_EACH);
    let metrics = String::from_utf8(secure.running.metrics.text().unwrap()).unwrap();
    assert!(metrics.contains(&format!("citadel_server_success_cert_issuance_count {n_issued}")), "{metrics}");
}
