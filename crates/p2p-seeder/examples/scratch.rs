//! Scratch.
use std::sync::Arc;
use p2p_package::*; use p2p_seeder::*; use p2p_wire::*;
use tokio::io::AsyncReadExt;
struct J; 
impl Judge for J { fn judge(&self, name: &FileName) -> Vec<Verdict> {
  let p = std::path::Path::new("/tmp/p2pt-seed/cache").join(name.as_str());
  let c = std::fs::read(p).unwrap();
  vec![Verdict{ id: PackageId{ file_name: name.clone(), size: c.len() as u64, sha256: Sha256::of(&c)}, repository: "core".into()}] } }
fn rss() -> String { std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.starts_with("VmRSS")||l.starts_with("Threads")).collect::<Vec<_>>().join(" ") }
#[tokio::main]
async fn main() {
  let mode = std::env::args().nth(1).unwrap();
  let t = std::time::Instant::now();
  let catalog = Catalog::open(std::path::Path::new("/tmp/p2pt-seed/catalog.db"));
  println!("open {:?} {:?} {}", t.elapsed(), catalog.totals(), rss());
  if mode == "scan" {
    let s = CacheScan::start(ScanOptions{cache_dirs: vec!["/tmp/p2pt-seed/cache".into()], store_dir: None}, catalog.clone(), Arc::new(J)).unwrap();
    s.rescan().await;
    println!("scan {:?} {:?} {:?} {}", t.elapsed(), catalog.totals(), s.progress().borrow().clone(), rss());
    catalog.flush();
    println!("flush {:?}", t.elapsed());
  } else if mode == "serve" {
    let seeder = Seeder::new(catalog.clone(), SeederOptions::new(PeerId::ours([7;12])));
    let l = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("port {}", l.local_addr().unwrap().port());
    let row = catalog.rows().into_iter().max_by_key(|r| r.stamp.size).unwrap();
    println!("hash {} {}", row.info_hash(), row.stamp.size);
    loop { let (mut s, a) = l.accept().await.unwrap(); let seeder = seeder.clone();
      tokio::spawn(async move { s.set_nodelay(true).unwrap(); let mut h=[0;68]; if s.read_exact(&mut h).await.is_err() {return}; let Ok(h)=Handshake::decode(&h) else {return};
        let e = seeder.serve(s, h, a, Direction::Incoming).await; 
        println!("end {e:?} {} {}", seeder.uploaded_bytes(), std::fs::read_to_string("/proc/self/stat").unwrap().split(' ').skip(13).take(2).collect::<Vec<_>>().join("+")); }); }
  }
}
