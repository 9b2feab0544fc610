//! Continents, as sets of countries. They have names only: their two letters are those of countries, too.

use super::countries::{Country, UnknownCountry};

/// The countries that a text names: one, or a continent's.
pub fn countries_of(text: &str) -> Result<Vec<Country>, UnknownCountry> {
    text.parse().map(|country| vec![country]).or_else(|unknown| {
        let of_name = |(name, _): &&(&str, &str)| name.eq_ignore_ascii_case(text.trim());
        let continent = CONTINENTS.iter().find(of_name).ok_or(unknown)?;
        Ok(continent.1.split(' ').filter_map(Country::from_code).collect())
    })
}

/// Antarctica is a country, AQ.
const CONTINENTS: [(&str, &str); 6] = [
    (
        "Africa",
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW IO KE KM LR LS LY MA MG \
         ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TF TG TN TZ UG YT ZA ZM ZW",
    ),
    (
        "Asia",
        "AE AF AM AZ BD BH BN BT CN GE HK ID IL IN IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV \
         MY NP OM PH PK PS QA SA SG SY TH TJ TL TM TR TW UZ VN YE",
    ),
    (
        "Europe",
        "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT \
         LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA",
    ),
    (
        "North America",
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA \
         PM PR SV SX TC TT US VC VG VI",
    ),
    (
        "Oceania",
        "AS AU CC CK CX FJ FM GU HM KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV UM VU WF WS",
    ),
    ("South America", "AR BO BR BV CL CO EC FK GF GS GY PE PY SR UY VE"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_is_on_one_continent() {
        let mut all: Vec<Country> =
            CONTINENTS.iter().flat_map(|(name, _)| countries_of(name).unwrap()).collect();
        all.push(Country::from_code("AQ").unwrap());
        all.sort();
        let known: Vec<Country> = Country::all().collect();
        assert_eq!(all, known);
    }

    #[test]
    fn a_text_names_a_country_before_a_continent() {
        let check = |text: &str, number: usize, first: &str| {
            let found = countries_of(text).unwrap();
            assert_eq!((found.len(), found[0].code()), (number, first), "{text}");
        };
        check("NA", 1, "NA");
        check("Namibia", 1, "NA");
        check("antarctica", 1, "AQ");
        check(" north america", 41, "AG");
        assert!(countries_of("EU").is_err() && countries_of("Atlantis").is_err());
    }
}
