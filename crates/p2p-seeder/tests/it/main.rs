//! The seeder with real sockets, files and foreign clients.

mod clients;
mod serving;
mod support;
