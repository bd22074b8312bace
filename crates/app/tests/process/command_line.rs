//! Commands, exit codes, readiness and the graceful stop.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::Duration;

use testkit::wait;

use super::*;

fn run(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).env_remove("POD_NAMESPACE").output().unwrap()
}

fn error_of(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn version_and_help_are_printed() {
    let version = run(&["version"]);
    assert!(version.status.success());
    assert_eq!(String::from_utf8_lossy(&version.stdout).trim(), env!("CARGO_PKG_VERSION"));
    let help = run(&["--help"]);
    assert!(help.status.success());
    for command in ["discovery", "request", "version", "completion"] {
        assert!(String::from_utf8_lossy(&help.stdout).contains(command), "{command}");
    }
    assert!(String::from_utf8_lossy(&run(&["discovery", "--help"]).stdout).contains("--configDir"));
}

#[test]
fn what_cannot_be_done_ends_with_an_exit_code_and_a_reason() {
    let unknown = run(&["steer"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(error_of(&unknown).contains("steer"));
    assert!(error_of(&run(&["discovery", "--registries", "Mock"])).contains("--configDir"));
    let nowhere = ["discovery", "--configDir", "/no/such/folder", "--grpcAddr", "", "--httpAddr"];
    let missing = run(&[&nowhere[..], &["127.0.0.1:0", "--monitoringAddr", "127.0.0.1:0"]].concat());
    assert_eq!(missing.status.code(), Some(1));
    assert!(error_of(&missing).contains("/no/such/folder"));
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let busy = run(&["discovery", "--configDir", "/tmp", "--monitoringAddr", &taken]);
    assert_eq!(busy.status.code(), Some(1));
    assert!(error_of(&busy).contains(&taken));
    let refused = run(&["request", "GET", "/debug/syncz", "--address", "127.0.0.1:1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(error_of(&refused).contains("127.0.0.1:1"));
}

#[test]
fn it_is_ready_only_when_all_files_are_read() {
    const N: usize = 3000;
    let folder = Folder::new("ready");
    let mut text = String::new();
    for number in 0..N {
        write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{number}, namespace: shop}}\n\
             spec: {{clusterIP: 10.0.{}.{}, ports: [{{name: http, port: 80}}]}}\n",
            number / 250,
            number % 250 + 1
        )
        .unwrap();
    }
    folder.write("services.yaml", &text);
    let mut running = folder.control_plane().start().unwrap();
    let mut before = Vec::new();
    wait::until("readiness", LIMIT, || {
        running.process().check_running()?;
        let status = running.readiness()?;
        if status != 200 {
            before.push(status);
        }
        Ok((status == 200).then_some(()))
    })
    .unwrap();
    assert!(before.iter().all(|status| *status == 503), "{before:?}");
    assert!(!before.is_empty(), "nothing was answered while the files were read");
    assert_eq!(running.debug("registryz").unwrap().as_array().unwrap().len(), N);
}

#[test]
fn it_answers_requests_and_stops_in_time() {
    let folder = Folder::new("stop");
    let mut control_plane = folder.control_plane();
    let flags = ["--ctrlz_port", "9876", "--profile=false", "--shutdownDuration", "2s"];
    control_plane.flags = flags.map(str::to_owned).to_vec();
    let mut running = control_plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let log = running.log();
    assert!(log.contains("--ctrlz_port is not known") && log.contains("--profile is not known"), "{log}");

    let address = running.addresses().monitoring.to_string();
    let synced = run(&["request", "GET", "/debug/syncz", "--address", &address]);
    assert!(synced.status.success());
    assert_eq!(String::from_utf8_lossy(&synced.stdout).trim(), "[]");
    let unknown = run(&["request", "GET", "/debug/nothing", "--address", &address]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(error_of(&unknown).contains("404"));

    // A connection that says nothing must not hold up the stop.
    let idle = TcpStream::connect(running.addresses().grpc).unwrap();
    let status = running.stop(Duration::from_secs(10)).unwrap();
    assert!(status.success(), "{status}");
    drop(idle);
}

#[test]
fn garbage_on_the_stream_is_refused_and_disturbs_nobody() {
    let folder = Folder::new("garbage");
    let mut running = folder.control_plane().start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0\0\0\0", &http2[..], &[0xff; 4096]] {
        let mut stream = TcpStream::connect(running.addresses().grpc).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // Whatever is answered, the connection ends.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    running.process().check_running().unwrap();
    assert_eq!(running.readiness().unwrap(), 200);
    assert!(!running.log().contains("panicked"), "{}", running.log());
    assert!(running.stop(LIMIT).unwrap().success());
}
