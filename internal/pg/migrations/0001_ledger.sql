-- The books. Owned by the room ledger; nobody else writes here.
--
-- Balanced by construction: one transfer is one row with both sides. Floors are
-- CHECKs. History cannot be edited. An operation's key makes it happen once.
-- Sign: credit-normal, balance = credits - debits.

CREATE TABLE IF NOT EXISTS ledger_accounts (
    id      bigint  GENERATED ALWAYS AS IDENTITY CONSTRAINT ledger_accounts_pkey PRIMARY KEY,
    code    text    NOT NULL CONSTRAINT ledger_accounts_code_once UNIQUE,
    unit    char(3) NOT NULL,
    user_id bigint,
    kind    text    NOT NULL CONSTRAINT ledger_accounts_kind_known CHECK (kind IN ('paid', 'bonus', 'hold', 'system')),
    balance bigint  NOT NULL DEFAULT 0,
    version bigint  NOT NULL DEFAULT 0,
    CONSTRAINT ledger_accounts_unit_once UNIQUE (id, unit),
    CONSTRAINT ledger_accounts_user_has_kind CHECK ((user_id IS NULL) = (kind = 'system')),
    -- Users' accounts keep a running balance that never falls below zero. The
    -- operator's own accounts keep none, so that they are no hot rows.
    CONSTRAINT ledger_accounts_floor CHECK (balance >= 0),
    CONSTRAINT ledger_accounts_system_is_summed CHECK (kind <> 'system' OR (balance = 0 AND version = 0))
);
CREATE INDEX IF NOT EXISTS ledger_accounts_by_user ON ledger_accounts (user_id) WHERE user_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS ledger_operations (
    id           bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT ledger_operations_pkey PRIMARY KEY,
    key          text        NOT NULL CONSTRAINT ledger_operations_key_once UNIQUE,
    request_hash text        NOT NULL,
    kind         text        NOT NULL
        CONSTRAINT ledger_operations_kind_known CHECK (kind IN ('topup', 'hold', 'capture', 'release', 'adjust')),
    reason       text        NOT NULL DEFAULT '',
    at           timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE IF NOT EXISTS ledger_transfers (
    id             bigint  GENERATED ALWAYS AS IDENTITY CONSTRAINT ledger_transfers_pkey PRIMARY KEY,
    operation_id   bigint  NOT NULL CONSTRAINT ledger_transfers_operation_exists REFERENCES ledger_operations,
    unit           char(3) NOT NULL,
    debit_id       bigint  NOT NULL,
    credit_id      bigint  NOT NULL,
    amount         bigint  NOT NULL CONSTRAINT ledger_transfers_amount_positive CHECK (amount > 0),
    debit_version  bigint,
    debit_after    bigint,
    credit_version bigint,
    credit_after   bigint,
    CONSTRAINT ledger_transfers_two_accounts CHECK (debit_id <> credit_id),
    CONSTRAINT ledger_transfers_debit_unit FOREIGN KEY (debit_id, unit) REFERENCES ledger_accounts (id, unit),
    CONSTRAINT ledger_transfers_credit_unit FOREIGN KEY (credit_id, unit) REFERENCES ledger_accounts (id, unit)
);
-- A gapless chain per account and side: a lost update would show as a violation.
CREATE UNIQUE INDEX IF NOT EXISTS ledger_transfers_debit_chain ON ledger_transfers (debit_id, debit_version) WHERE debit_version IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS ledger_transfers_credit_chain ON ledger_transfers (credit_id, credit_version) WHERE credit_version IS NOT NULL;
CREATE INDEX IF NOT EXISTS ledger_transfers_by_operation ON ledger_transfers (operation_id);

CREATE TABLE IF NOT EXISTS ledger_holds (
    key        text        CONSTRAINT ledger_holds_pkey PRIMARY KEY,
    user_id    bigint      NOT NULL,
    unit       char(3)     NOT NULL,
    paid_part  bigint      NOT NULL CONSTRAINT ledger_holds_paid_part_floor CHECK (paid_part >= 0),
    bonus_part bigint      NOT NULL CONSTRAINT ledger_holds_bonus_part_floor CHECK (bonus_part >= 0),
    captured   bigint,
    state      text        NOT NULL DEFAULT 'open'
        CONSTRAINT ledger_holds_state_known CHECK (state IN ('open', 'captured', 'released')),
    opened_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    opened_by  bigint      NOT NULL CONSTRAINT ledger_holds_opened_by_operation REFERENCES ledger_operations,
    closed_by  bigint               CONSTRAINT ledger_holds_closed_by_operation REFERENCES ledger_operations,
    CONSTRAINT ledger_holds_closed_once UNIQUE (closed_by),
    CONSTRAINT ledger_holds_closing CHECK (
        (state = 'open'     AND captured IS NULL AND closed_by IS NULL) OR
        (state = 'captured' AND captured BETWEEN 0 AND paid_part + bonus_part AND closed_by IS NOT NULL) OR
        (state = 'released' AND captured = 0 AND closed_by IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS ledger_holds_open ON ledger_holds (expires_at) WHERE state = 'open';

-- Posting. The only writer of balances is this trigger. The operator's accounts
-- have no balance and are not locked, so that no two users wait for each other.
CREATE OR REPLACE FUNCTION ledger_post() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM ledger_accounts WHERE id IN (NEW.debit_id, NEW.credit_id) AND kind <> 'system' ORDER BY id FOR NO KEY UPDATE;
    UPDATE ledger_accounts SET balance = balance - NEW.amount, version = version + 1
     WHERE id = NEW.debit_id AND kind <> 'system' RETURNING version, balance INTO NEW.debit_version, NEW.debit_after;
    UPDATE ledger_accounts SET balance = balance + NEW.amount, version = version + 1
     WHERE id = NEW.credit_id AND kind <> 'system' RETURNING version, balance INTO NEW.credit_version, NEW.credit_after;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER ledger_transfers_post BEFORE INSERT ON ledger_transfers
    FOR EACH ROW EXECUTE FUNCTION ledger_post();

CREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: the books are append-only; post an opposite operation instead', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'LK403';
END
$$;
CREATE OR REPLACE TRIGGER ledger_transfers_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfers
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE OR REPLACE TRIGGER ledger_operations_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_operations
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE OR REPLACE TRIGGER ledger_accounts_kept BEFORE DELETE OR TRUNCATE ON ledger_accounts
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE OR REPLACE TRIGGER ledger_holds_kept BEFORE DELETE OR TRUNCATE ON ledger_holds
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

-- Balances change through postings only: inside ledger_post the depth is 2.
CREATE OR REPLACE FUNCTION ledger_guard_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.balance <> 0 OR NEW.version <> 0 THEN
            RAISE EXCEPTION 'account % must be born empty', NEW.code USING ERRCODE = 'LK403';
        END IF;
        RETURN NEW;
    END IF;
    IF pg_trigger_depth() < 2 OR (NEW.id, NEW.code, NEW.unit, NEW.user_id, NEW.kind) IS DISTINCT FROM (OLD.id, OLD.code, OLD.unit, OLD.user_id, OLD.kind) THEN
        RAISE EXCEPTION 'account % changes through transfers only', OLD.code USING ERRCODE = 'LK403';
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER ledger_accounts_guard BEFORE INSERT OR UPDATE ON ledger_accounts
    FOR EACH ROW EXECUTE FUNCTION ledger_guard_account();

CREATE OR REPLACE FUNCTION ledger_guard_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'open' OR NEW.state = 'open'
       OR (NEW.key, NEW.user_id, NEW.unit, NEW.paid_part, NEW.bonus_part, NEW.opened_by, NEW.opened_at)
          IS DISTINCT FROM (OLD.key, OLD.user_id, OLD.unit, OLD.paid_part, OLD.bonus_part, OLD.opened_by, OLD.opened_at) THEN
        RAISE EXCEPTION 'hold % is % and closes once only', OLD.key, OLD.state USING ERRCODE = 'LK410';
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER ledger_holds_guard BEFORE UPDATE ON ledger_holds
    FOR EACH ROW EXECUTE FUNCTION ledger_guard_hold();

-- Returns the account's id, making an operator's account on first use.
CREATE OR REPLACE FUNCTION ledger_system_account(account_code text, account_unit char(3)) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE found_id bigint;
BEGIN
    SELECT id INTO found_id FROM ledger_accounts WHERE code = account_code;
    IF found_id IS NULL THEN
        INSERT INTO ledger_accounts (code, unit, kind) VALUES (account_code, account_unit, 'system')
        ON CONFLICT (code) DO NOTHING;
        SELECT id INTO STRICT found_id FROM ledger_accounts WHERE code = account_code;
    END IF;
    RETURN found_id;
END
$$;

-- Opens the user's three accounts and locks them, in order, for this transaction.
CREATE OR REPLACE FUNCTION ledger_lock_user(account_user bigint, account_unit char(3),
    OUT paid_id bigint, OUT bonus_id bigint, OUT hold_id bigint, OUT paid bigint, OUT bonus bigint)
LANGUAGE plpgsql AS $$
DECLARE a ledger_accounts;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM ledger_accounts WHERE user_id = account_user) THEN
        INSERT INTO ledger_accounts (code, unit, user_id, kind)
        SELECT 'u:' || account_user || ':' || k, account_unit, account_user, k FROM unnest(ARRAY['paid', 'bonus', 'hold']) AS k
        ON CONFLICT (code) DO NOTHING;
    END IF;
    FOR a IN SELECT * FROM ledger_accounts WHERE user_id = account_user ORDER BY id FOR NO KEY UPDATE LOOP
        IF a.unit <> account_unit THEN
            RAISE EXCEPTION 'user % keeps accounts in %, not in %', account_user, a.unit, account_unit USING ERRCODE = 'LK409';
        END IF;
        CASE a.kind
            WHEN 'paid'  THEN paid_id := a.id;  paid := a.balance;
            WHEN 'bonus' THEN bonus_id := a.id; bonus := a.balance;
            WHEN 'hold'  THEN hold_id := a.id;
        END CASE;
    END LOOP;
END
$$;

-- Claims an operation's key. Null means that it was done before with the same
-- content; other content under the same key is an error of the caller.
CREATE OR REPLACE FUNCTION ledger_begin(operation_key text, content text, operation_kind text, why text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE new_id bigint; known text;
BEGIN
    INSERT INTO ledger_operations (key, request_hash, kind, reason)
    VALUES (operation_key, md5(content), operation_kind, why)
    ON CONFLICT (key) DO NOTHING RETURNING id INTO new_id;
    IF new_id IS NULL THEN
        SELECT request_hash INTO STRICT known FROM ledger_operations WHERE key = operation_key;
        IF known <> md5(content) THEN
            RAISE EXCEPTION 'operation % was done with other content', operation_key USING ERRCODE = 'LK409';
        END IF;
    END IF;
    RETURN new_id;
END
$$;

CREATE OR REPLACE FUNCTION ledger_move(operation bigint, move_unit char(3), from_id bigint, to_id bigint, move_amount bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO ledger_transfers (operation_id, unit, debit_id, credit_id, amount)
    SELECT operation, move_unit, from_id, to_id, move_amount WHERE move_amount > 0
$$;

-- Credits a user's paid or bonus account from an operator's account. True when
-- this call did it, false when it had been done before.
CREATE OR REPLACE FUNCTION ledger_top_up(operation_key text, account_user bigint, account_unit char(3),
    bucket text, source text, topup_amount bigint, why text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE u record; operation bigint;
BEGIN
    u := ledger_lock_user(account_user, account_unit);
    operation := ledger_begin(operation_key, concat_ws('|', account_user, account_unit, bucket, source, topup_amount), 'topup', why);
    IF operation IS NULL THEN
        RETURN false;
    END IF;
    IF topup_amount <= 0 OR bucket NOT IN ('paid', 'bonus') THEN
        RAISE EXCEPTION 'top-up of % to % is not possible', topup_amount, bucket USING ERRCODE = 'LK422';
    END IF;
    PERFORM ledger_move(operation, account_unit, ledger_system_account(source, account_unit),
        CASE bucket WHEN 'paid' THEN u.paid_id ELSE u.bonus_id END, topup_amount);
    RETURN true;
END
$$;

-- Reserves money, bonus first. Outcomes: held (also on repetition) or
-- insufficient (nothing was changed). A hold of nothing is a hold.
CREATE OR REPLACE FUNCTION ledger_hold(hold_key text, account_user bigint, account_unit char(3), hold_amount bigint, expiry timestamptz,
    OUT outcome text, OUT missing bigint) LANGUAGE plpgsql AS $$
DECLARE u record; operation bigint; from_bonus bigint;
BEGIN
    missing := 0;
    u := ledger_lock_user(account_user, account_unit);
    IF hold_amount < 0 THEN
        RAISE EXCEPTION 'hold of % is not possible', hold_amount USING ERRCODE = 'LK422';
    END IF;
    IF u.paid + u.bonus < hold_amount AND NOT EXISTS (SELECT 1 FROM ledger_operations WHERE key = 'hold:' || hold_key) THEN
        outcome := 'insufficient';
        missing := hold_amount - u.paid - u.bonus;
        RETURN;
    END IF;
    outcome := 'held';
    operation := ledger_begin('hold:' || hold_key, concat_ws('|', account_user, account_unit, hold_amount), 'hold', '');
    IF operation IS NULL THEN
        RETURN;
    END IF;
    from_bonus := least(u.bonus, hold_amount);
    INSERT INTO ledger_holds (key, user_id, unit, paid_part, bonus_part, expires_at, opened_by)
    VALUES (hold_key, account_user, account_unit, hold_amount - from_bonus, from_bonus, expiry, operation);
    PERFORM ledger_move(operation, account_unit, u.bonus_id, u.hold_id, from_bonus);
    PERFORM ledger_move(operation, account_unit, u.paid_id, u.hold_id, hold_amount - from_bonus);
END
$$;

-- Closes a hold: takes `take` of it as revenue (bonus first) and gives the rest
-- back to where it came from. True when this call did it, false on repetition.
CREATE OR REPLACE FUNCTION ledger_close(hold_key text, closing text, take bigint, why text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE h ledger_holds; u record; operation bigint; of_bonus bigint;
BEGIN
    SELECT * INTO h FROM ledger_holds WHERE key = hold_key;
    IF h.key IS NULL THEN
        RAISE EXCEPTION 'hold % does not exist', hold_key USING ERRCODE = 'LK404';
    END IF;
    u := ledger_lock_user(h.user_id, h.unit);
    SELECT * INTO h FROM ledger_holds WHERE key = hold_key FOR NO KEY UPDATE;
    operation := ledger_begin(closing || ':' || hold_key, take::text, closing, why);
    IF operation IS NULL THEN
        RETURN false;
    END IF;
    IF h.state <> 'open' THEN
        RAISE EXCEPTION 'hold % is % already', hold_key, h.state USING ERRCODE = 'LK410';
    END IF;
    IF take < 0 OR take > h.paid_part + h.bonus_part THEN
        RAISE EXCEPTION 'capture of % exceeds the % held', take, h.paid_part + h.bonus_part USING ERRCODE = 'LK422';
    END IF;
    of_bonus := least(take, h.bonus_part);
    PERFORM ledger_move(operation, h.unit, u.hold_id, ledger_system_account('sys:bonus_used', h.unit), of_bonus);
    PERFORM ledger_move(operation, h.unit, u.hold_id, ledger_system_account('sys:revenue', h.unit), take - of_bonus);
    PERFORM ledger_move(operation, h.unit, u.hold_id, u.bonus_id, h.bonus_part - of_bonus);
    PERFORM ledger_move(operation, h.unit, u.hold_id, u.paid_id, h.paid_part - (take - of_bonus));
    UPDATE ledger_holds SET captured = take, closed_by = operation,
           state = CASE closing WHEN 'capture' THEN 'captured' ELSE 'released' END
     WHERE key = hold_key;
    RETURN true;
END
$$;

-- One row per defect; an empty answer proves the books.
CREATE OR REPLACE FUNCTION ledger_audit() RETURNS TABLE (defect text, subject text, detail text) LANGUAGE sql STABLE AS $$
    WITH sides AS (
        SELECT debit_id AS account_id, -amount AS signed, debit_version AS version, debit_after AS after_it FROM ledger_transfers
        UNION ALL
        SELECT credit_id, amount, credit_version, credit_after FROM ledger_transfers
    ), chain AS (
        SELECT account_id, version, after_it,
               sum(signed) OVER (PARTITION BY account_id ORDER BY version) AS running,
               row_number() OVER (PARTITION BY account_id ORDER BY version) AS n
        FROM sides WHERE version IS NOT NULL
    ), totals AS (
        SELECT account_id, sum(signed) AS balance, count(*) AS n FROM sides GROUP BY account_id
    )
    SELECT 'balance differs from transfers', a.code, a.balance || ' stored, ' || coalesce(t.balance, 0) || ' summed'
      FROM ledger_accounts a LEFT JOIN totals t ON t.account_id = a.id
     WHERE a.kind <> 'system' AND a.balance <> coalesce(t.balance, 0)
    UNION ALL
    SELECT 'version differs from transfers', a.code, a.version || ' stored, ' || coalesce(t.n, 0) || ' counted'
      FROM ledger_accounts a LEFT JOIN totals t ON t.account_id = a.id
     WHERE a.kind <> 'system' AND a.version <> coalesce(t.n, 0)
    UNION ALL
    SELECT 'chain is broken', a.code, 'at version ' || c.version
      FROM chain c JOIN ledger_accounts a ON a.id = c.account_id WHERE c.n <> c.version OR c.running <> c.after_it
    UNION ALL
    SELECT 'balance below zero', a.code, a.balance::text FROM ledger_accounts a WHERE a.balance < 0
    UNION ALL
    SELECT 'held money differs from open holds', a.code, a.balance || ' held, ' || coalesce(h.open, 0) || ' in open holds'
      FROM ledger_accounts a
      LEFT JOIN (SELECT user_id, sum(paid_part + bonus_part) AS open FROM ledger_holds WHERE state = 'open' GROUP BY user_id) h ON h.user_id = a.user_id
     WHERE a.kind = 'hold' AND a.balance <> coalesce(h.open, 0)
    UNION ALL
    SELECT 'operation without a transfer', o.key, o.kind
      FROM ledger_operations o
     WHERE NOT EXISTS (SELECT 1 FROM ledger_transfers t WHERE t.operation_id = o.id)
       AND NOT EXISTS (SELECT 1 FROM ledger_holds h WHERE o.id IN (h.opened_by, h.closed_by) AND h.paid_part + h.bonus_part = 0)
$$;
