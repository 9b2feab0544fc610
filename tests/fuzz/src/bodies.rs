//! Bodies that the API is sent: a value or an error, and a value that is written is read as the same again.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sipprot_ctl::api::{
    Aggregate, DenyBlocks, EditEntry, EditUser, FleetJudge, FleetProtect, GeoChange, LearnAccept,
    LearnStart, LogIn, MoveEntries, NewBlock, NewEntry, NewPassword, NewPeer, NewToken, NewUser,
    NotifyTest, RemoveEntries, SettingsChange, StopService,
};

const READERS: [fn(&[u8]); 21] = [
    read::<Aggregate>,
    read::<DenyBlocks>,
    read::<EditEntry>,
    read::<EditUser>,
    read::<FleetJudge>,
    read::<FleetProtect>,
    read::<GeoChange>,
    read::<LearnAccept>,
    read::<LearnStart>,
    read::<LogIn>,
    read::<MoveEntries>,
    read::<NewBlock>,
    read::<NewEntry>,
    read::<NewPassword>,
    read::<NewPeer>,
    read::<NewToken>,
    read::<NewUser>,
    read::<NotifyTest>,
    read::<RemoveEntries>,
    read::<SettingsChange>,
    read::<StopService>,
];

pub fn check(bytes: &[u8]) {
    READERS.iter().for_each(|read| read(bytes));
}

fn read<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else { return };
    let written = written(&value);
    let again: T = serde_json::from_str(&written).expect("what was written is read");
    assert_eq!(written, self::written(&again), "read as something else");
}

fn written(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("what was read is written")
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        r#"{"network":"192.0.2.0/24","note":"n","endpoint":"pbx1","scope":"sip","expires_in_s":60}"#,
        r#"{"network":"2001:db8::/32","version":"1","note":"m","to":"allow","added_at":"1"}"#,
        r#"{"networks":["192.0.2.1","192.0.2.2"],"all":false,"dry_run":true,"to":"deny"}"#,
        r#"{"address":"192.0.2.1","duration_s":60,"note":"n","by":"ann"}"#,
        r#"{"addresses":["192.0.2.1"],"note":"n"}"#,
        r#"{"network":"192.0.2.0/24","note":"n","rate":100}"#,
        r#"{"name":"ann","password":"correct horse battery","role":"admin","scope":"read"}"#,
        r#"{"old":"a","new":"b","days":3,"peers":true,"limits":true}"#,
        r#"{"mode":"deny","countries":["FR"],"endpoint":"pbx1"}"#,
        r#"{"set":{"rules.register_limit":10,"geo.countries":["FR"]},"unset":["mode"],"version":"1"}"#,
        r#"{"changes":[{"key":"mode","value":"observe"}],"source":"192.0.2.1","verdict":"spread"}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
