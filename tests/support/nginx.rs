//! The real nginx for one directory.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use tempfile::TempDir;

use crate::{Host, Process};

/// A running nginx, as the user of the test, in a directory of its own.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    address: SocketAddr,
    directory: TempDir,
}

impl Nginx {
    /// Serves `root` on a free port of `host`, without a limit or with so many bytes a second on each connection.
    #[must_use]
    #[track_caller]
    pub fn serve(host: &Host, root: &Path, limit: Option<u64>) -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-nginx-").tempdir().expect("a temporary directory");
        let address = SocketAddr::new(host.address(), host.free_port());
        let path = directory.path().join("nginx.conf");
        fs::write(&path, configuration(address, root, limit)).expect("the configuration can be written");
        let mut command = host.command("nginx");
        command.arg("-p").arg(directory.path()).arg("-c").arg(&path).args(["-e", "error.log"]);
        let mut process = Process::start("nginx", command, &directory.path().join("output.log"));
        let host = host.clone();
        process.wait_for("an open port", Duration::from_secs(10), move |_| {
            let connect = host.spawn(move || TcpStream::connect(address).is_ok());
            connect.join().expect("connecting does not panic").then_some(())
        });
        Self { process, address, directory }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A `Server` line for `pacman.conf`.
    #[must_use]
    pub fn server(&self) -> String {
        self.url("/$repo/os/$arch")
    }

    /// Bytes of bodies sent in finished answers for paths that end in `suffix`.
    #[must_use]
    pub fn served(&self, suffix: &str) -> u64 {
        let log = fs::read_to_string(self.directory.path().join("access.log")).unwrap_or_default();
        let of_path = log.lines().filter_map(|line| line.split_once(' ')).filter(|(_, path)| path.ends_with(suffix));
        of_path.filter_map(|(bytes, _)| bytes.parse::<u64>().ok()).sum()
    }

    /// Its master process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn configuration(address: SocketAddr, root: &Path, limit: Option<u64>) -> String {
    // nginx started by root would serve as "nobody", who may not read a test's directory.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let limit = limit.map_or(String::new(), |limit| format!("limit_rate {limit};"));
    let root = root.display();
    format!(
        "{user} daemon off; worker_processes 1; pid nginx.pid; events {{ worker_connections 1024; }}\n\
         http {{\n\
         client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;\n\
         scgi_temp_path scgi; sendfile on; tcp_nopush on; keepalive_timeout 60s; keepalive_requests 10000;\n\
         log_format plain '$body_bytes_sent $request_uri'; access_log access.log plain; error_log error.log;\n\
         default_type application/octet-stream; absolute_redirect off;\n\
         server {{ listen {address}; root {root}; {limit} }}\n\
         }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run;

    #[test]
    fn nginx_serves_a_directory_that_only_we_may_read() {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::write(root.path().join("a:b+c"), vec![7; 300_000]).expect("the file can be written");
        let host = Host::loopback();
        let nginx = Nginx::serve(&host, root.path(), Some(200_000));
        let mut command = host.command("curl");
        command.args(["-sSf", "-o", "/dev/null", "-w", "%{size_download}"]).arg(nginx.url("/a:b+c"));
        let ran = run(command, Duration::from_secs(20));
        assert_eq!(ran.stdout, "300000");
        assert!(ran.elapsed > Duration::from_millis(400), "{:?}", ran.elapsed);
        crate::wait_until("the line in the log", Duration::from_secs(5), || nginx.served("/a:b+c") == 300_000);
    }
}
