//! Network namespaces on one bridge-less cable.

use std::future::Future;
use std::process::Command;
use std::thread::JoinHandle;

use fs_err::File;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace; it goes with the value.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Two namespaces, joined by a cable; each end gets its addresses, as `ip addr add` takes them.
    pub(crate) fn pair(test: &str, left: &[&str], right: &[&str]) -> [Self; 2] {
        let pair = Self::apart(test);
        Self::connect(&pair, test, left, right);
        pair
    }

    /// Two namespaces without any cable.
    pub(crate) fn apart(test: &str) -> [Self; 2] {
        ["l", "r"].map(|side| Self::new(&format!("p2pt-{test}-{side}")))
    }

    /// Joins two namespaces by a cable.
    pub(crate) fn connect(pair: &[Self; 2], test: &str, left: &[&str], right: &[&str]) {
        let [cable_left, cable_right] = ["l", "r"].map(|side| format!("p2pt{test}{side}"));
        ip(&["link", "add", &cable_left, "type", "veth", "peer", "name", &cable_right]);
        for (namespace, cable, addresses) in [(&pair[0], &cable_left, left), (&pair[1], &cable_right, right)] {
            ip(&["link", "set", cable, "netns", &namespace.name]);
            for address in addresses {
                namespace.ip(&["addr", "add", address, "dev", cable]);
            }
            namespace.ip(&["link", "set", cable, "up"]);
            // Other clients leave the choice of the link for multicast to the routes.
            namespace.ip(&["route", "add", "default", "dev", cable]);
        }
    }

    fn new(name: &str) -> Self {
        // Of a run that was killed.
        let _ = Command::new("ip").args(["netns", "del", name]).output();
        ip(&["netns", "add", name]);
        let namespace = Self { name: name.to_owned() };
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    fn ip(&self, arguments: &[&str]) {
        ip(&[&["-n", &self.name], arguments].concat());
    }

    /// A command that will run inside.
    pub(crate) fn command(&self, program: &str) -> Command {
        assert!(which(program), "this test needs {program}");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs `test` on a thread inside; threads that it starts are inside too.
    pub(crate) fn run<T: Send + 'static, F: Future<Output = T>>(
        &self,
        test: impl FnOnce() -> F + Send + 'static,
    ) -> JoinHandle<T> {
        let file = File::open(format!("/run/netns/{}", self.name)).expect("a namespace that was made");
        std::thread::spawn(move || {
            move_into_link_name_space(std::os::fd::AsFd::as_fd(file.file()), Some(LinkNameSpaceType::Network))
                .expect("this test needs root");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(test())
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("this test needs iproute2");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this test needs root: ip {}: {error}", arguments.join(" "));
}

fn which(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|path| path.join(program).is_file())
}
