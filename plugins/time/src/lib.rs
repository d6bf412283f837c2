//! The time, in any time zone of the IANA database, which is built in.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Unit, Zoned};
use mcp_plugin_api::prelude::*;

/// The clock, and the zone that is meant when none is named.
pub struct Time {
    local: TimeZone,
}

/// The plugin's configuration.
#[model]
#[derive(Default)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The IANA time zone that is meant when none is named. Default: this machine's.
    local_timezone: Option<String>,
}

/// A moment in a time zone.
#[model]
#[derive(Debug, PartialEq)]
pub struct Moment {
    /// The IANA time zone.
    timezone: String,
    /// The moment, in ISO 8601 with its offset.
    datetime: String,
    /// The day of the week.
    day_of_week: String,
    /// Whether daylight saving time is in force.
    is_dst: bool,
}

/// A moment in two time zones.
#[model]
#[derive(Debug, PartialEq)]
pub struct Conversion {
    /// In the first.
    source: Moment,
    /// In the second.
    target: Moment,
    /// How far the second is ahead, such as `+9.0h`.
    time_difference: String,
}

#[plugin(instructions = "Time zones are IANA names, such as 'Europe/Berlin'.")]
impl Time {
    #[start]
    fn start(config: Config) -> Result<Self> {
        let local = match config.local_timezone {
            Some(name) => zone(&name)?,
            None => TimeZone::system(),
        };
        Ok(Self { local })
    }

    /// # Current time
    /// Gives the current time in a time zone.
    #[tool(read_only, open_world = false)]
    async fn get_current_time(
        &self,
        /** IANA time zone, such as 'Europe/London'. Without it, the local one. */
        timezone: Option<String>,
    ) -> Result<Moment> {
        Ok(moment(&Timestamp::now().to_zoned(self.zone_or_local(timezone.as_deref())?)))
    }

    /// # Convert time
    /// Converts a time of day, or a date and time, from one time zone to another.
    #[tool(read_only, idempotent, open_world = false)]
    async fn convert_time(
        &self,
        /** IANA time zone to convert from. Without it, the local one. */
        source_timezone: Option<String>,
        /** Time to convert, as HH:MM of today, or as YYYY-MM-DDTHH:MM. */
        time: String,
        /** IANA time zone to convert to. Without it, the local one. */
        target_timezone: Option<String>,
    ) -> Result<Conversion> {
        let source = self.zone_or_local(source_timezone.as_deref())?;
        let target = self.zone_or_local(target_timezone.as_deref())?;
        let today = Timestamp::now().to_zoned(source.clone()).date();
        let civil = match time.parse::<DateTime>() {
            Ok(civil) => civil,
            Err(_) => {
                let time: jiff::civil::Time = time
                    .parse()
                    .map_err(|_| Error::invalid_arguments("'time' is neither HH:MM nor YYYY-MM-DDTHH:MM"))?;
                today.to_datetime(time)
            }
        };
        // Where clocks are put forward, an hour of the day is missing: no time of it is guessed.
        let ambiguous = source.to_ambiguous_zoned(civil);
        if matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
            let name = source.iana_name().unwrap_or("UTC");
            let (time, date) = (civil.time().strftime("%H:%M"), civil.date());
            let told = format!("{time} does not exist in {name} on {date}: clocks are put forward then");
            return Err(Error::invalid_arguments(told));
        }
        let source = ambiguous.compatible()?;
        let target = source.with_time_zone(target);
        let ahead = f64::from(target.offset().seconds() - source.offset().seconds()) / 3600.0;
        // As many digits as the difference needs: +5.75h, but +9.0h.
        let time_difference = if ahead.fract() == 0.0 { format!("{ahead:+.1}h") } else { format!("{ahead:+}h") };
        Ok(Conversion { source: moment(&source), target: moment(&target), time_difference })
    }
}

impl Time {
    fn zone_or_local(&self, name: Option<&str>) -> Result<TimeZone> {
        name.map_or_else(|| Ok(self.local.clone()), zone)
    }
}

fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|_| {
        Error::invalid_arguments(format!("'{name}' is no IANA time zone; write one such as 'Europe/Berlin' or 'UTC'"))
    })
}

fn moment(zoned: &Zoned) -> Moment {
    let seconds = zoned.round(Unit::Second).unwrap_or_else(|_| zoned.clone());
    Moment {
        // A zone that this machine knows without a name is told by its offset.
        timezone: zoned.time_zone().iana_name().map_or_else(|| zoned.strftime("%:z").to_string(), str::to_owned),
        datetime: seconds.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        day_of_week: zoned.strftime("%A").to_string(),
        is_dst: zoned.time_zone().to_offset_info(zoned.timestamp()).dst().is_dst(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::{Value, json};
    use mcp_plugin_api::testing::{Kit, Script};

    fn convert(arguments: Value) -> Result<Value> {
        let kit = Kit::start::<Time>(json!({"local_timezone": "UTC"})).unwrap();
        let result = kit.tool("convert_time", arguments, &Script::new())?;
        Ok(result.structured_content.unwrap())
    }

    #[test]
    fn a_date_and_time_is_converted_with_daylight_saving() {
        let converted = convert(json!({
            "source_timezone": "Europe/Berlin", "time": "2026-07-01T12:00", "target_timezone": "Asia/Kathmandu"
        }));
        assert_eq!(
            converted.unwrap(),
            json!({
                "source": {"timezone": "Europe/Berlin", "datetime": "2026-07-01T12:00:00+02:00",
                           "day_of_week": "Wednesday", "is_dst": true},
                "target": {"timezone": "Asia/Kathmandu", "datetime": "2026-07-01T15:45:00+05:45",
                           "day_of_week": "Wednesday", "is_dst": false},
                "time_difference": "+3.75h"
            })
        );
    }

    #[test]
    fn a_missing_zone_is_the_local_one() {
        let converted = convert(json!({"time": "2026-01-01T23:30", "target_timezone": "Asia/Tokyo"})).unwrap();
        assert_eq!(converted["source"]["timezone"], "UTC");
        assert_eq!(converted["target"]["datetime"], "2026-01-02T08:30:00+09:00");
        assert_eq!(converted["time_difference"], "+9.0h");
    }

    #[test]
    fn a_bad_time_and_a_bad_zone_are_told() {
        let bad = |arguments| convert(arguments).unwrap_err().message().to_owned();
        assert_eq!(bad(json!({"time": "noon"})), "'time' is neither HH:MM nor YYYY-MM-DDTHH:MM");
        assert!(
            bad(json!({"time": "12:00", "target_timezone": "Mars/Base"}))
                .starts_with("'Mars/Base' is no IANA time zone")
        );
        let skipped = json!({"time": "2026-03-29T02:30", "source_timezone": "Europe/Berlin"});
        assert_eq!(bad(skipped), "02:30 does not exist in Europe/Berlin on 2026-03-29: clocks are put forward then");
    }

    #[test]
    fn a_bad_configured_zone_stops_the_start() {
        let refused = Kit::start::<Time>(json!({"local_timezone": "Nowhere"})).err().unwrap();
        assert!(refused.message().starts_with("'Nowhere' is no IANA time zone"));
        let unknown = Kit::start::<Time>(json!({"zone": "UTC"})).err().unwrap();
        assert!(unknown.message().contains("unknown field `zone`"), "{unknown}");
    }

    #[test]
    fn the_current_time_is_in_the_zone_that_is_named() {
        let kit = Kit::start::<Time>(json!({})).unwrap();
        let now = kit.tool("get_current_time", json!({"timezone": "America/New_York"}), &Script::new()).unwrap();
        let now = now.structured_content.unwrap();
        assert_eq!(now["timezone"], "America/New_York");
        let told: Timestamp = now["datetime"].as_str().unwrap().parse().unwrap();
        assert!((Timestamp::now().as_second() - told.as_second()).abs() <= 2);
    }
}
