"""Have the database itself refuse to change or delete what operators did."""

from django.db import migrations

FORBID = """
    CREATE FUNCTION tasks_operatoraction_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'The record of operator actions is append-only.';
    END $$;
    CREATE TRIGGER tasks_operatoraction_append_only
        BEFORE UPDATE OR DELETE ON tasks_operatoraction
        FOR EACH ROW EXECUTE FUNCTION tasks_operatoraction_is_append_only();
"""
ALLOW = """
    DROP TRIGGER tasks_operatoraction_append_only ON tasks_operatoraction;
    DROP FUNCTION tasks_operatoraction_is_append_only();
"""


class Migration(migrations.Migration):
    """Add the trigger."""

    dependencies = [("tasks", "0001_initial")]
    operations = [migrations.RunSQL(FORBID, ALLOW)]
