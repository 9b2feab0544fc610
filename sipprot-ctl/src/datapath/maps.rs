//! The pinned maps with their types, opened together.

use sipprot_common::abi::{
    Block, BlockKey, Config, Contained, Counters, EventCounts, ListEntry, Nonce, Policy, PortSet,
    QuarantineKey, Source, SourceCounts, Trust, UserAgents, maps,
};
use sipprot_common::source::Address;
use sipprot_common::table::{ListTable, PlaceTable, Strangers};

use super::error::Result;
use super::keys::LpmKey;
use super::lists::ListMap;
use super::map::{Map, PerCpu};
use super::pins::Pins;
use super::table::{Slot, Table, View};

pub struct Maps {
    pub config: Map<u32, Config>,
    pub policies: Map<u32, Policy>,
    pub port_sets: Map<u32, PortSet>,
    pub user_agents: Map<u32, UserAgents>,
    pub endpoints: Map<LpmKey<Address>, u32>,
    pub resolvers: Map<LpmKey<Address>, u32>,
    pub allow: ListMap<ListEntry>,
    pub deny: ListMap<ListEntry>,
    pub geo: ListMap<u32>,
    pub listed: Slot<ListTable>,
    pub places: Slot<PlaceTable>,
    pub strangers: View<Strangers>,
    pub blocks: Map<BlockKey, Block>,
    pub quarantine: Map<QuarantineKey, u64>,
    pub contained: Map<u64, Contained>,
    pub trust: Map<u64, Trust>,
    pub sources: Map<u64, Source>,
    pub nonces: Map<u64, Nonce>,
    pub registers: PerCpu<u64, SourceCounts>,
    pub counters: PerCpu<u32, Counters>,
    pub countries: PerCpu<u32, u64>,
    pub event_counts: PerCpu<u32, EventCounts>,
}

impl Maps {
    pub fn open(pins: &Pins) -> Result<Self> {
        let directory = &pins.maps();
        Ok(Self {
            config: Map::open(directory, maps::CONFIG)?,
            policies: Map::open(directory, maps::POLICIES)?,
            port_sets: Map::open(directory, maps::PORT_SETS)?,
            user_agents: Map::open(directory, maps::USER_AGENTS)?,
            endpoints: Map::open(directory, maps::ENDPOINTS)?,
            resolvers: Map::open(directory, maps::RESOLVERS)?,
            allow: Map::open(directory, maps::ALLOW)?,
            deny: Map::open(directory, maps::DENY)?,
            geo: Map::open(directory, maps::GEO)?,
            listed: Slot::open(directory, maps::LISTED)?,
            places: Slot::open(directory, maps::PLACES)?,
            strangers: Table::open(directory, maps::STRANGERS)?.into_view()?,
            blocks: Map::open(directory, maps::BLOCKS)?,
            quarantine: Map::open(directory, maps::QUARANTINE)?,
            contained: Map::open(directory, maps::CONTAINED)?,
            trust: Map::open(directory, maps::TRUST)?,
            sources: Map::open(directory, maps::SOURCES)?,
            nonces: Map::open(directory, maps::NONCES)?,
            registers: PerCpu::open(directory, maps::REGISTERS)?,
            counters: PerCpu::open(directory, maps::COUNTERS)?,
            countries: PerCpu::open(directory, maps::COUNTRIES)?,
            event_counts: PerCpu::open(directory, maps::EVENT_COUNTS)?,
        })
    }
}
