//! Golden files hold the API's words still.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The value is written as the golden file says, and read from it.
#[track_caller]
pub(crate) fn holds_still<T: Serialize + DeserializeOwned + PartialEq + Debug>(golden: &str, value: &T) {
    let written = serde_json::to_value(value).expect("the API's types have string keys");
    let expected: Value = serde_json::from_str(golden).expect("a golden file is JSON");
    assert_eq!(written, expected, "what is written:\n{written:#}");
    let read: T = serde_json::from_str(golden).expect("a golden file is readable");
    assert_eq!(&read, value);
}
