//! The bodies of the fuzz targets: ordinary functions, so that tests on stable run them too.

pub mod advert;
pub mod conf;
pub mod ipvs_wire;
