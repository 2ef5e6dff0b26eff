SELECT defect, subject, detail FROM ledger_audit()
