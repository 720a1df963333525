//! Owns every connection with strangers: accepts, dials, filters, limits, counts.
