//! Real parts for the tests: repositories, mirrors, peers, namespaces.
