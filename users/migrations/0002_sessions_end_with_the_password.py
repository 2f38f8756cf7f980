"""End a user's sessions when their password changes or their account is switched off, whoever changes it.

A session that was there before ends as well: nobody knows whether the password has been changed since it began.
"""

from django.db import migrations, models

END = """
    CREATE FUNCTION users_end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE users_refreshsession SET revoked_at = statement_timestamp()
         WHERE user_id = NEW.id AND revoked_at IS NULL;
        RETURN NULL;
    END $$;
    CREATE TRIGGER users_end_sessions AFTER UPDATE ON users_user FOR EACH ROW
        WHEN (NEW.password IS DISTINCT FROM OLD.password OR (OLD.is_active AND NOT NEW.is_active))
        EXECUTE FUNCTION users_end_sessions();
"""
KEEP = """
    DROP TRIGGER users_end_sessions ON users_user;
    DROP FUNCTION users_end_sessions();
"""


class Migration(migrations.Migration):
    dependencies = [("users", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="refreshsession",
            name="auth_hash",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="Keyed hash of the password that opened it; another password ends it.",
                max_length=64,
            ),
        ),
        migrations.RunSQL(END, KEEP),
    ]
