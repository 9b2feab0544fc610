//! Countries: two-letter codes and their English names.
//!
//! Owns the table of ISO 3166-1 and the small index that the kernel's per-country counters go by.
//! It must not know where an address lies; databases are its parent's affair.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A two-letter country code: one of ISO 3166-1, or another that databases use (EU, AN, …).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Country(u16);

/// A text that names no country.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown country {0:?}")]
pub struct UnknownCountry(String);

/// How many indexes there are: one for each pair of letters.
pub const COUNTRIES_MAX: usize = 26 * 26;

const LETTERS: usize = 26;

/// All codes in one text, so that a code can be lent for ever.
const CODES: [u8; COUNTRIES_MAX * 2] = {
    let mut codes = [0; COUNTRIES_MAX * 2];
    let mut index = 0;
    while index < COUNTRIES_MAX {
        codes[index * 2] = b'A' + (index / LETTERS) as u8;
        codes[index * 2 + 1] = b'A' + (index % LETTERS) as u8;
        index += 1;
    }
    codes
};

impl Country {
    /// The country of a two-letter code in either case. ZZ and anything but two letters is none;
    /// UK is GB, as some registries write it.
    pub fn from_code(code: &str) -> Option<Country> {
        let [first, second] = code.as_bytes() else { return None };
        let (first, second) = (first.to_ascii_uppercase(), second.to_ascii_uppercase());
        if !first.is_ascii_uppercase() || !second.is_ascii_uppercase() {
            return None;
        }
        match [first, second] {
            [b'Z', b'Z'] => None,
            [b'U', b'K'] => Some(Self::of_letters(b'G', b'B')),
            [first, second] => Some(Self::of_letters(first, second)),
        }
    }

    /// The country of an index below [`COUNTRIES_MAX`].
    pub fn from_index(index: u16) -> Option<Country> {
        (usize::from(index) < COUNTRIES_MAX).then_some(Country(index))
    }

    /// Its place in an array of [`COUNTRIES_MAX`].
    pub const fn index(self) -> u16 {
        self.0
    }

    pub fn code(self) -> &'static str {
        let start = usize::from(self.0) * 2;
        std::str::from_utf8(&CODES[start..start + 2]).unwrap_or("??")
    }

    /// The English name; a code outside of ISO 3166-1 is its own name.
    pub fn name(self) -> &'static str {
        match self.names() {
            Some(names) => names.split('|').next().unwrap_or(names),
            None => self.code(),
        }
    }

    /// Every country of ISO 3166-1, by code.
    pub fn all() -> impl Iterator<Item = Country> {
        COUNTRIES.iter().filter_map(|(code, _)| Country::from_code(code))
    }

    const fn of_letters(first: u8, second: u8) -> Country {
        Country((first - b'A') as u16 * LETTERS as u16 + (second - b'A') as u16)
    }

    fn names(self) -> Option<&'static str> {
        let code = self.code();
        let at = COUNTRIES.binary_search_by_key(&code, |(code, _)| code).ok()?;
        Some(COUNTRIES[at].1)
    }
}

impl FromStr for Country {
    type Err = UnknownCountry;

    /// An ISO code or an English name, in any case.
    fn from_str(text: &str) -> Result<Country, UnknownCountry> {
        let text = text.trim();
        if let Some(country) = Country::from_code(text)
            && country.names().is_some()
        {
            return Ok(country);
        }
        let wanted = text.to_lowercase().replace(" & ", " and ");
        COUNTRIES
            .iter()
            .find(|(_, names)| names.split('|').any(|name| name.to_lowercase() == wanted))
            .and_then(|(code, _)| Country::from_code(code))
            .ok_or_else(|| UnknownCountry(text.to_owned()))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl From<Country> for String {
    fn from(country: Country) -> String {
        country.code().to_owned()
    }
}

impl TryFrom<String> for Country {
    type Error = UnknownCountry;

    fn try_from(code: String) -> Result<Country, UnknownCountry> {
        Country::from_code(&code).ok_or(UnknownCountry(code))
    }
}

/// ISO 3166-1 by code; the first name is the one we write, the others are understood.
#[rustfmt::skip]
const COUNTRIES: &[(&str, &str)] = &[
    ("AD", "Andorra"),
    ("AE", "United Arab Emirates|UAE"),
    ("AF", "Afghanistan"),
    ("AG", "Antigua and Barbuda"),
    ("AI", "Anguilla"),
    ("AL", "Albania"),
    ("AM", "Armenia"),
    ("AO", "Angola"),
    ("AQ", "Antarctica"),
    ("AR", "Argentina"),
    ("AS", "American Samoa|Samoa (American)"),
    ("AT", "Austria"),
    ("AU", "Australia"),
    ("AW", "Aruba"),
    ("AX", "Åland Islands|Aland Islands"),
    ("AZ", "Azerbaijan"),
    ("BA", "Bosnia and Herzegovina"),
    ("BB", "Barbados"),
    ("BD", "Bangladesh"),
    ("BE", "Belgium"),
    ("BF", "Burkina Faso"),
    ("BG", "Bulgaria"),
    ("BH", "Bahrain"),
    ("BI", "Burundi"),
    ("BJ", "Benin"),
    ("BL", "Saint Barthélemy|Saint Barthelemy"),
    ("BM", "Bermuda"),
    ("BN", "Brunei|Brunei Darussalam"),
    ("BO", "Bolivia|Bolivia, Plurinational State of"),
    ("BQ", "Caribbean Netherlands|Caribbean NL|Bonaire, Sint Eustatius and Saba"),
    ("BR", "Brazil"),
    ("BS", "Bahamas"),
    ("BT", "Bhutan"),
    ("BV", "Bouvet Island"),
    ("BW", "Botswana"),
    ("BY", "Belarus"),
    ("BZ", "Belize"),
    ("CA", "Canada"),
    ("CC", "Cocos (Keeling) Islands"),
    ("CD", "DR Congo|Congo (Dem. Rep.)|Congo, The Democratic Republic of the"),
    ("CF", "Central African Republic|Central African Rep."),
    ("CG", "Congo|Congo (Rep.)"),
    ("CH", "Switzerland"),
    ("CI", "Côte d'Ivoire|Ivory Coast|Cote d'Ivoire"),
    ("CK", "Cook Islands"),
    ("CL", "Chile"),
    ("CM", "Cameroon"),
    ("CN", "China"),
    ("CO", "Colombia"),
    ("CR", "Costa Rica"),
    ("CU", "Cuba"),
    ("CV", "Cabo Verde|Cape Verde"),
    ("CW", "Curaçao|Curacao"),
    ("CX", "Christmas Island"),
    ("CY", "Cyprus"),
    ("CZ", "Czechia|Czech Republic"),
    ("DE", "Germany"),
    ("DJ", "Djibouti"),
    ("DK", "Denmark"),
    ("DM", "Dominica"),
    ("DO", "Dominican Republic"),
    ("DZ", "Algeria"),
    ("EC", "Ecuador"),
    ("EE", "Estonia"),
    ("EG", "Egypt"),
    ("EH", "Western Sahara"),
    ("ER", "Eritrea"),
    ("ES", "Spain"),
    ("ET", "Ethiopia"),
    ("FI", "Finland"),
    ("FJ", "Fiji"),
    ("FK", "Falkland Islands|Falkland Islands (Malvinas)"),
    ("FM", "Micronesia|Micronesia, Federated States of"),
    ("FO", "Faroe Islands"),
    ("FR", "France"),
    ("GA", "Gabon"),
    ("GB", "United Kingdom|Britain (UK)|Great Britain"),
    ("GD", "Grenada"),
    ("GE", "Georgia"),
    ("GF", "French Guiana"),
    ("GG", "Guernsey"),
    ("GH", "Ghana"),
    ("GI", "Gibraltar"),
    ("GL", "Greenland"),
    ("GM", "Gambia"),
    ("GN", "Guinea"),
    ("GP", "Guadeloupe"),
    ("GQ", "Equatorial Guinea"),
    ("GR", "Greece"),
    ("GS", "South Georgia and the South Sandwich Islands"),
    ("GT", "Guatemala"),
    ("GU", "Guam"),
    ("GW", "Guinea-Bissau"),
    ("GY", "Guyana"),
    ("HK", "Hong Kong"),
    ("HM", "Heard Island and McDonald Islands"),
    ("HN", "Honduras"),
    ("HR", "Croatia"),
    ("HT", "Haiti"),
    ("HU", "Hungary"),
    ("ID", "Indonesia"),
    ("IE", "Ireland"),
    ("IL", "Israel"),
    ("IM", "Isle of Man"),
    ("IN", "India"),
    ("IO", "British Indian Ocean Territory"),
    ("IQ", "Iraq"),
    ("IR", "Iran|Iran, Islamic Republic of"),
    ("IS", "Iceland"),
    ("IT", "Italy"),
    ("JE", "Jersey"),
    ("JM", "Jamaica"),
    ("JO", "Jordan"),
    ("JP", "Japan"),
    ("KE", "Kenya"),
    ("KG", "Kyrgyzstan"),
    ("KH", "Cambodia"),
    ("KI", "Kiribati"),
    ("KM", "Comoros"),
    ("KN", "Saint Kitts and Nevis"),
    ("KP", "North Korea|Korea (North)|Korea, Democratic People's Republic of"),
    ("KR", "South Korea|Korea (South)|Korea, Republic of"),
    ("KW", "Kuwait"),
    ("KY", "Cayman Islands"),
    ("KZ", "Kazakhstan"),
    ("LA", "Laos|Lao People's Democratic Republic"),
    ("LB", "Lebanon"),
    ("LC", "Saint Lucia"),
    ("LI", "Liechtenstein"),
    ("LK", "Sri Lanka"),
    ("LR", "Liberia"),
    ("LS", "Lesotho"),
    ("LT", "Lithuania"),
    ("LU", "Luxembourg"),
    ("LV", "Latvia"),
    ("LY", "Libya"),
    ("MA", "Morocco"),
    ("MC", "Monaco"),
    ("MD", "Moldova|Moldova, Republic of"),
    ("ME", "Montenegro"),
    ("MF", "Saint Martin|Saint Martin (French)|Saint Martin (French part)"),
    ("MG", "Madagascar"),
    ("MH", "Marshall Islands"),
    ("MK", "North Macedonia"),
    ("ML", "Mali"),
    ("MM", "Myanmar|Burma|Myanmar (Burma)"),
    ("MN", "Mongolia"),
    ("MO", "Macao|Macau"),
    ("MP", "Northern Mariana Islands"),
    ("MQ", "Martinique"),
    ("MR", "Mauritania"),
    ("MS", "Montserrat"),
    ("MT", "Malta"),
    ("MU", "Mauritius"),
    ("MV", "Maldives"),
    ("MW", "Malawi"),
    ("MX", "Mexico"),
    ("MY", "Malaysia"),
    ("MZ", "Mozambique"),
    ("NA", "Namibia"),
    ("NC", "New Caledonia"),
    ("NE", "Niger"),
    ("NF", "Norfolk Island"),
    ("NG", "Nigeria"),
    ("NI", "Nicaragua"),
    ("NL", "Netherlands|Holland|The Netherlands"),
    ("NO", "Norway"),
    ("NP", "Nepal"),
    ("NR", "Nauru"),
    ("NU", "Niue"),
    ("NZ", "New Zealand"),
    ("OM", "Oman"),
    ("PA", "Panama"),
    ("PE", "Peru"),
    ("PF", "French Polynesia"),
    ("PG", "Papua New Guinea"),
    ("PH", "Philippines"),
    ("PK", "Pakistan"),
    ("PL", "Poland"),
    ("PM", "Saint Pierre and Miquelon"),
    ("PN", "Pitcairn Islands|Pitcairn"),
    ("PR", "Puerto Rico"),
    ("PS", "Palestinian Territory|Palestine|Palestine, State of|State of Palestine"),
    ("PT", "Portugal"),
    ("PW", "Palau"),
    ("PY", "Paraguay"),
    ("QA", "Qatar"),
    ("RE", "Réunion|Reunion"),
    ("RO", "Romania"),
    ("RS", "Serbia"),
    ("RU", "Russia|Russian Federation"),
    ("RW", "Rwanda"),
    ("SA", "Saudi Arabia"),
    ("SB", "Solomon Islands"),
    ("SC", "Seychelles"),
    ("SD", "Sudan"),
    ("SE", "Sweden"),
    ("SG", "Singapore"),
    ("SH", "Saint Helena|Saint Helena, Ascension and Tristan da Cunha"),
    ("SI", "Slovenia"),
    ("SJ", "Svalbard and Jan Mayen"),
    ("SK", "Slovakia"),
    ("SL", "Sierra Leone"),
    ("SM", "San Marino"),
    ("SN", "Senegal"),
    ("SO", "Somalia"),
    ("SR", "Suriname"),
    ("SS", "South Sudan"),
    ("ST", "São Tomé and Príncipe|Sao Tome and Principe"),
    ("SV", "El Salvador"),
    ("SX", "Sint Maarten|Saint Maarten (Dutch)|Sint Maarten (Dutch part)"),
    ("SY", "Syria|Syrian Arab Republic"),
    ("SZ", "Eswatini|Swaziland"),
    ("TC", "Turks and Caicos Islands|Turks and Caicos Is"),
    ("TD", "Chad"),
    ("TF", "French Southern Territories|French S. Terr."),
    ("TG", "Togo"),
    ("TH", "Thailand"),
    ("TJ", "Tajikistan"),
    ("TK", "Tokelau"),
    ("TL", "Timor-Leste|East Timor"),
    ("TM", "Turkmenistan"),
    ("TN", "Tunisia"),
    ("TO", "Tonga"),
    ("TR", "Türkiye|Turkey|Turkiye"),
    ("TT", "Trinidad and Tobago"),
    ("TV", "Tuvalu"),
    ("TW", "Taiwan|Taiwan, Province of China"),
    ("TZ", "Tanzania|Tanzania, United Republic of"),
    ("UA", "Ukraine"),
    ("UG", "Uganda"),
    ("UM", "U.S. Minor Outlying Islands|United States Minor Outlying Islands"),
    ("US", "United States|USA"),
    ("UY", "Uruguay"),
    ("UZ", "Uzbekistan"),
    ("VA", "Vatican City|Holy See (Vatican City State)"),
    ("VC", "Saint Vincent and the Grenadines|Saint Vincent"),
    ("VE", "Venezuela|Venezuela, Bolivarian Republic of"),
    ("VG", "British Virgin Islands|Virgin Islands (UK)|Virgin Islands, British"),
    ("VI", "U.S. Virgin Islands|Virgin Islands (US)|Virgin Islands, U.S."),
    ("VN", "Vietnam|Viet Nam"),
    ("VU", "Vanuatu"),
    ("WF", "Wallis and Futuna"),
    ("WS", "Samoa|Samoa (western)"),
    ("YE", "Yemen"),
    ("YT", "Mayotte"),
    ("ZA", "South Africa"),
    ("ZM", "Zambia"),
    ("ZW", "Zimbabwe"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: Option<(&str, &str)>) {
        let found = input.parse::<Country>().ok();
        assert_eq!(found.map(|country| (country.code(), country.name())), expected, "{input}");
    }

    #[test]
    fn codes_and_names_are_read() {
        check("FR", Some(("FR", "France")));
        check("fr", Some(("FR", "France")));
        check("germany", Some(("DE", "Germany")));
        check("Palestinian Territory", Some(("PS", "Palestinian Territory")));
        check("UK", Some(("GB", "United Kingdom")));
        check("Trinidad & Tobago", Some(("TT", "Trinidad and Tobago")));
        check("cote d'ivoire", Some(("CI", "Côte d'Ivoire")));
        for wrong in ["", "F", "FRA", "XX", "EU", "ZZ", "Atlantis", "F1"] {
            check(wrong, None);
        }
    }

    #[test]
    fn every_country_is_sorted_named_once_and_reads_back() {
        assert_eq!(COUNTRIES.len(), 249);
        assert!(COUNTRIES.is_sorted_by_key(|(code, _)| code));
        let mut seen = std::collections::HashSet::new();
        for country in Country::all() {
            check(country.code(), Some((country.code(), country.name())));
            check(country.name(), Some((country.code(), country.name())));
            assert_eq!(Country::from_index(country.index()), Some(country));
            for name in country.names().unwrap().split('|') {
                assert!(seen.insert(name.to_lowercase()), "{name}");
            }
        }
    }

    #[test]
    fn codes_of_databases_need_no_name() {
        let country = Country::from_code("eu").unwrap();
        assert_eq!((country.code(), country.name()), ("EU", "EU"));
        assert_eq!(Country::from_index(676), None);
    }
}
