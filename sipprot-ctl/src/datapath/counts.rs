//! What the datapath has counted, summed over the CPUs, and how full the maps are.

use sipprot_common::abi::{COUNTRY_UNKNOWN, Counters, EventCounts, POLICIES_MAX};
use sipprot_common::reason::REASONS_MAX;

use super::Datapath;
use super::error::{DatapathError, Result};

/// How full a map is that must not run full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    pub map: &'static str,
    pub used: usize,
    pub max: usize,
}

impl Datapath {
    /// Packets by reason of one policy.
    pub fn counters(&self, policy: u32) -> Result<Counters> {
        if policy >= POLICIES_MAX {
            return Err(DatapathError::Invalid(format!("there is no policy {policy}")));
        }
        let mut sum = Counters { packets: [0; REASONS_MAX], observed: [0; REASONS_MAX] };
        for counters in self.maps.counters.get(&policy)? {
            for reason in 0..REASONS_MAX {
                sum.packets[reason] += counters.packets[reason];
                sum.observed[reason] += counters.observed[reason];
            }
        }
        Ok(sum)
    }

    /// Drops by country index, without the zeroes; [`COUNTRY_UNKNOWN`] stands for the rest.
    pub fn country_drops(&self) -> Result<Vec<(u32, u64)>> {
        let mut drops = Vec::new();
        for country in 0..=COUNTRY_UNKNOWN {
            let count = self.maps.countries.get(&country)?.into_iter().sum();
            if count > 0 {
                drops.push((country, count));
            }
        }
        Ok(drops)
    }

    pub fn event_counts(&self) -> Result<EventCounts> {
        let counts = self.maps.event_counts.get(&0)?;
        Ok(counts.into_iter().fold(EventCounts::default(), |sum, cpu| EventCounts {
            suppressed: sum.suppressed + cpu.suppressed,
            lost: sum.lost + cpu.lost,
        }))
    }

    /// Of every map that refuses when it is full. The lists are counted once and then followed, the
    /// others are walked: milliseconds when they are full.
    pub fn fill(&self) -> Result<Vec<Fill>> {
        let maps = &self.maps;
        macro_rules! fill {
            ($map:expr, $used:expr) => {
                Fill { map: $map.name(), used: $used, max: $map.max_entries()? as usize }
            };
        }
        let lists = |config: &sipprot_common::abi::Config| config.lists_generation;
        let geo = |config: &sipprot_common::abi::Config| config.geo_generation;
        Ok(vec![
            fill!(maps.blocks, maps.blocks.count()?),
            fill!(maps.quarantine, maps.quarantine.count()?),
            fill!(maps.trust, maps.trust.count()?),
            fill!(maps.endpoints, maps.endpoints.count()?),
            fill!(maps.allow, self.count_entries(&maps.allow, lists)?),
            fill!(maps.deny, self.count_entries(&maps.deny, lists)?),
            fill!(maps.geo, self.count_entries(&maps.geo, geo)?),
        ])
    }
}
