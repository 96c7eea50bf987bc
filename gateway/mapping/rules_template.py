"""The mapping file as `gateway init` writes it: every built-in default spelled out, with Russian comments.

Loaded, it gives exactly the built-in rules (a test says so), so that nothing changes by writing the file out.
"""

DEFAULT_MAPPING_TOML = r"""# Правила соответствия портала и городского журнала.
# Пишет школа. Проверка: gateway check. Любая правка меняет версию правил, она видна в каждом плане.
# После первого gateway mapping draft файл — форма следующего черновика, а действует включённая версия.

version = 1                # номер редакции, ведёт школа

rounding = "half_up"       # дробный балл: half_up 4,5 → 5; half_even 4,5 → 4; down 4,5 → 4
finals_before_days = 7     # за сколько дней до конца периода уходит итоговая отметка: раньше на портале текущая сумма
allow_one = false          # передавать ли единицу: в городском журнале она допустима, но редка

# Предмет портала (код, краткое или полное название) → предмет городского журнала по названию.
# Одинаково названные предметы вносить не нужно: «Алгебра, 7 класс» — это «Алгебра».
[subjects]
# "Рус. яз." = "Русский язык"

# Класс или группа портала → класс городского журнала, если они отличаются не только написанием.
# «7 А», «7-а» и «7A» латиницей — один и тот же класс без всяких записей.
[classes]
# "7 мат" = "7В"

# Вид работы → форма контроля городского журнала по названию.
[forms]
# "Тест" = "Тестирование"

# Слова шкалы → отметка. Числа вносить не нужно.
[words]
"отлично" = "5"
"хорошо" = "4"
"удовлетворительно" = "3"
"неудовлетворительно" = "2"

# Слова промежуточной аттестации → 1 (зачтено) или 0.
[passes]
"зачёт" = "1"
"зачтено" = "1"
"незачёт" = "0"
"не зачтено" = "0"

# Что передаётся вообще. Пока ни одной строки нет, в настоящий город не уходит ничего.
# kind: mark, absence, homework или "*" (эти три вместе); остальные роды передаются, только если названы строкой:
# comment (опоздания и замечания), final (итоговые отметки), topics (темы уроков, КТП).
# subject и class_name: название или "*".
# direction: to_city (в город), from_city (из города в отчёты), off.
# create, change, delete: off, observe (только показать), approve (с подтверждением), automatic.
# Решает самая узкая строка: сначала та, где названо больше столбцов, затем класс, предмет, вид записи.
#
# [[scope]]
# kind = "mark"
# class_name = "7А"
# direction = "to_city"
# create = "approve"
# change = "approve"
# delete = "approve"

# Элемент журнала оценок портала → вид работы. Решает первая подошедшая строка.
# match: name (название), number (идентификатор), category, module (quiz, assign…), item_form (mod, manual) или "*".
# pattern: регулярное выражение, регистр не важен. weight: вес вместо веса формы. send = false: не передавать.
# lesson: по какой дате искать урок — name_date, due, finish, graded; без неё — по типу элемента.
# Элемент, к которому не подошла ни одна строка, не передаётся и виден с причиной NO_CONTROL_FORM.

[[items]]
match = "module"
pattern = "^attendance$"
send = false

[[items]]
match = "name"
pattern = "контрольн"
form = "Контрольная работа"

[[items]]
match = "name"
pattern = "самостоятельн"
form = "Самостоятельная работа"

[[items]]
match = "name"
pattern = "проект"
form = "Проект"

[[items]]
match = "module"
pattern = "^quiz$"
form = "Тест"

[[items]]
match = "name"
pattern = '\bтест'
form = "Тест"

[[items]]
match = "name"
pattern = '\bДЗ\b|домашн'
form = "Домашнее задание"

[[items]]
match = "module"
pattern = "^assign$"
form = "Домашнее задание"

[[items]]
match = "name"
pattern = '\bурок|на уроке|классн'
form = "Работа на уроке"

# Отметка на странице планировщика, у которой вид работы не назван.
[[items]]
match = "module"
pattern = "^page$"
form = "Работа на уроке"

# Проценты → отметка для работ, у которых наибольший балл не 5. Граница входит: ровно 85 % — это 5.
# Строка действует для уроков с from_on; новую шкалу добавляйте новой строкой, старую не меняйте.
[[percent]]
from_on = 2000-01-01
edges = { 5 = 85.0, 4 = 70.0, 3 = 50.0 }
below = 2

# Чьё слово главнее, если об одном и том же говорят несколько источников школы: первый в списке. Молчание — не слово.
# journal — внесённое в сам шлюз, portal — портал, planner — планировщик, workbook — его книги.
[sources]
order = ["journal", "portal", "planner", "workbook"]

# Отдельно для поля: on_conflict — hold (разные слова ждут owner) или precedence (главнее первый, второе видно).
# Без строк здесь: отметка и «н» — hold; время и тема урока — сначала planner.
# [sources.fields."mark.value"]
# order = ["planner", "portal"]
# on_conflict = "precedence"
# owner = "teacher"        # кого спросить: teacher, curator, deputy_head, admin

# Кто хозяин поля (school или city) и когда значение можно писать (always, on_change, only_if_empty).
# Поля: mark.value, mark.weight, mark.form. Не названное поле — school, always.
# [fields."mark.weight"]
# owner = "city"           # вес ставит город: берётся вес формы контроля, веса из [[items]] не действуют
"""
