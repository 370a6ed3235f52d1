//! Pictures: decoding within limits, metadata, alpha, resampling, encoding.
