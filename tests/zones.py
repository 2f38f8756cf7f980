"""Time zones whose clocks do something worth testing, by short names."""

BERLIN, NEW_YORK, DUBLIN = "Europe/Berlin", "America/New_York", "Europe/Dublin"
LORD_HOWE, SYDNEY, CHATHAM = "Australia/Lord_Howe", "Australia/Sydney", "Pacific/Chatham"
CAIRO, BEIRUT, HAVANA, JUBA = "Africa/Cairo", "Asia/Beirut", "America/Havana", "Africa/Juba"
SAO_PAULO, SANTIAGO, ST_JOHNS = "America/Sao_Paulo", "America/Santiago", "America/St_Johns"
TROLL, CARACAS, KATHMANDU = "Antarctica/Troll", "America/Caracas", "Asia/Kathmandu"
