//! The name service asked over real sockets, with a server behind it.

use std::collections::BTreeMap;

use proto::nds::NameTable;
use proto::nds::name_table::NameInfo;

use super::*;

fn sent() -> NameTable {
    let kubernetes = |name: &str, namespace: &str, ip: &str| NameInfo {
        ips: vec![ip.to_owned()],
        registry: "Kubernetes".to_owned(),
        shortname: name.to_owned(),
        namespace: namespace.to_owned(),
        ..NameInfo::default()
    };
    let external = |ips: &[&str]| NameInfo {
        ips: ips.iter().map(|ip| (*ip).to_owned()).collect(),
        registry: "External".to_owned(),
        ..NameInfo::default()
    };
    let many: Vec<String> = (0..60).map(|n| format!("10.9.0.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    NameTable {
        table: BTreeMap::from([
            ("cart.shop.svc.cluster.local".to_owned(), kubernetes("cart", "shop", "10.0.0.1")),
            ("cart.other.svc.cluster.local".to_owned(), kubernetes("cart", "other", "10.0.0.2")),
            ("api.example.com".to_owned(), external(&["240.0.0.1", "fd00::1", "no address"])),
            ("*.wild.example".to_owned(), external(&["240.0.0.2"])),
            ("many.example".to_owned(), external(&many)),
        ]),
    }
}

fn table() -> Table {
    Table::new(&sent(), "shop", "shop.svc.cluster.local")
}

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message
}

fn found(name: &str) -> Option<Vec<String>> {
    let search = ["shop.svc.cluster.local".to_owned(), "svc.cluster.local".to_owned()];
    let found = table().find(name, &search)?;
    Some(found.addresses.iter().map(ToString::to_string).collect())
}

#[test]
fn services_have_short_names_and_other_hosts_have_not() {
    for name in ["cart", "cart.shop", "cart.shop.svc", "cart.shop.svc.cluster.local"] {
        assert_eq!(found(name), Some(vec!["10.0.0.1".to_owned()]), "{name}");
    }
    assert_eq!(found("cart.other"), Some(vec!["10.0.0.2".to_owned()]));
    assert_eq!(found("api.example.com").map(|all| all.len()), Some(2));
    for name in ["api", "cart.nowhere", "example.com", ""] {
        assert_eq!(found(name), None, "{name}");
    }
}

#[test]
fn wildcards_cover_every_depth_but_not_the_domain_itself() {
    assert!(found("a.wild.example").is_some() && found("a.b.wild.example").is_some());
    assert_eq!(found("wild.example"), None);
}

#[test]
fn a_name_with_a_search_domain_behind_it_is_an_alias() {
    let search = ["shop.svc.cluster.local".to_owned()];
    let found = table().find("api.example.com.shop.svc.cluster.local", &search).expect("found");
    assert_eq!(found.alias.as_deref(), Some("api.example.com"));
}

#[test]
fn torn_and_strange_messages_are_not_ours_and_end_nothing() {
    let whole = question("cart.shop", 1);
    for length in 0..whole.len() {
        assert_eq!(wire::Question::read(&whole[..length]), None, "{length}");
    }
    let mut pointer = whole.clone();
    pointer[12] = 0xc0;
    let mut response = whole.clone();
    response[2] |= 0x80;
    for other in [pointer, response, question("cart.shop", 65)] {
        assert_eq!(wire::Question::read(&other), None);
    }
}

#[test]
fn an_answer_that_is_too_long_is_cut_and_says_so() {
    let message = question("many.example", 1);
    let read = wire::Question::read(&message).expect("a question");
    let addresses = table().find(&read.name, &[]).expect("found").addresses;
    let whole = read.answer(&message, None, &addresses, LONGEST);
    assert_eq!((whole[2] & 2, u16::from_be_bytes([whole[6], whole[7]])), (0, 60));
    let cut = read.answer(&message, None, &addresses, UDP_LENGTH);
    assert!(cut.len() <= UDP_LENGTH && cut[2] & 2 == 2);
    assert_eq!(usize::from(u16::from_be_bytes([cut[6], cut[7]])), (cut.len() - message.len()) / 16);
}

/// A server that answers everything with the question and `!` behind it.
async fn other_server() -> SocketAddr {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = udp.local_addr().unwrap();
    let tcp = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 600];
        loop {
            let (length, from) = udp.recv_from(&mut buffer).await.unwrap();
            udp.send_to(&[&buffer[..length], b"!"].concat(), from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let message = read(&mut stream).await.unwrap();
            write(&mut stream, &[&message[..], b"!"].concat()).await.unwrap();
        }
    });
    address
}

async fn served(servers: Vec<SocketAddr>) -> SocketAddr {
    let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = sockets.tcp.local_addr().unwrap();
    let (publish, table) = watch::channel(Arc::new(table()));
    let settings = NameService { address, servers, search: vec!["shop.svc.cluster.local".to_owned()] };
    tokio::spawn(async move {
        sockets.serve(settings, table).await;
        drop(publish);
    });
    address
}

async fn both_ways(address: SocketAddr, message: &[u8]) -> [Vec<u8>; 2] {
    let udp = ask_by_udp(address, message).await.unwrap();
    [udp, ask_by_tcp(address, message).await.unwrap()]
}

#[tokio::test]
async fn names_of_the_mesh_are_answered_and_others_passed_on() {
    let other = other_server().await;
    let dead = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let address = served(vec![dead, other]).await;
    for answer in both_ways(address, &question("Cart.Shop", 1)).await {
        assert_eq!((&answer[..2], answer[3] & 15, answer[7]), (&[7, 9][..], 0, 1));
        assert_eq!(answer[answer.len() - 4..], [10, 0, 0, 1]);
    }
    // A name that is known, without an address of that kind: no error, no address.
    for answer in both_ways(address, &question("cart.shop", 28)).await {
        assert_eq!((answer[3] & 15, answer[7]), (0, 0));
    }
    for answer in both_ways(address, &question("api.example.com.shop.svc.cluster.local", 28)).await {
        assert_eq!(answer[7], 2, "the alias and its address");
    }
    let unknown = question("www.example.org", 1);
    for answer in both_ways(address, &unknown).await {
        assert_eq!(answer, [&unknown[..], b"!"].concat());
    }
}

#[tokio::test]
async fn where_nobody_can_be_asked_the_asker_is_told() {
    let address = served(Vec::new()).await;
    for answer in both_ways(address, &question("www.example.org", 1)).await {
        assert_eq!(answer[3] & 15, 2);
    }
}
