//! The countries that the kernel was told, against the databases that they come from.

use std::sync::Arc;

use sipprot_common::abi::COUNTRY_UNKNOWN;

use super::super::geography::Geography;
use crate::api::KindView;
use crate::datapath::{CountryDiffers, Datapath, Result};
use crate::geo::Country;

/// What the kernel was told last.
pub struct Countries {
    pub geography: Arc<Geography>,
    pub countries: Vec<Country>,
}

impl Countries {
    pub fn compare(&self, datapath: &Datapath) -> Result<KindView> {
        let networks = self.geography.networks(&self.countries);
        let found = datapath.compare_countries(&networks)?;
        let mut view = KindView { promised: networks.len() as u64, ..KindView::of("countries") };
        for CountryDiffers { first, last, promised, found } in &found.first {
            view.different(format!("{first} to {last}"), name(*promised), name(*found));
        }
        view.different = found.differ;
        Ok(view)
    }
}

fn name(index: Option<u32>) -> &'static str {
    match index {
        None => "the trie's",
        Some(COUNTRY_UNKNOWN) => "none",
        Some(index) => {
            let country = u16::try_from(index).ok().and_then(Country::from_index);
            country.map_or("unknown", Country::code)
        }
    }
}
