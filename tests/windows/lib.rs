//! Tests of the host on Windows, and of plugins that are built for several systems. There is nothing else here.
