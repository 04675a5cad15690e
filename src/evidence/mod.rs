//! What a ledger proves. Pure: ledgers, returns and seeds in, statistics out; never decides, never stores.
