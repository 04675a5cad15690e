update trial_ledger set statistic = 31.5, null_statistics = array[12, null, 35.25];
