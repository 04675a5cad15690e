//! Every metric, declared once; the doc comment is its help text.
