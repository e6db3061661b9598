"""What the synthetic voices say: fortunes for English, short neutral sentences for the rest.

It knows nothing of voices or audio. The English lines come from the Debian package `fortunes`
(read where it is installed, never copied here); every other sentence was written for this project.
"""

import re
import subprocess
from pathlib import Path

from clsp.errors import InputError

FORTUNES = Path("/usr/share/games/fortunes")
FORTUNE_FILES = ("literature", "people", "science", "wisdom", "work", "platitudes", "education")
MIN_WORDS, MAX_WORDS = 6, 13

SENTENCES: dict[str, tuple[str, ...]] = {
    "de": (
        "Der Zug nach Hamburg fährt heute zehn Minuten später ab.",
        "Im Garten hinter dem Haus stehen drei alte Apfelbäume.",
        "Bitte stellen Sie die Tasche neben die Tür und kommen Sie herein.",
        "Morgen gehen wir zusammen auf den Markt und kaufen Brot.",
        "Das Buch liegt noch immer auf dem Tisch in der Küche.",
    ),
    "fr": (
        "Le train pour Lyon part ce matin avec dix minutes de retard.",
        "Derrière la maison, il y a un petit jardin et deux pommiers.",
        "Posez le sac près de la porte et entrez, je vous en prie.",
        "Demain nous irons ensemble au marché acheter du pain.",
        "Le livre est toujours sur la table de la cuisine.",
    ),
    "es": (
        "El tren de la mañana sale hoy con diez minutos de retraso.",
        "Detrás de la casa hay un jardín pequeño con dos manzanos.",
        "Deje la bolsa junto a la puerta y pase, por favor.",
        "Mañana iremos juntos al mercado a comprar pan.",
        "El libro sigue encima de la mesa de la cocina.",
    ),
    "it": (
        "Il treno per Torino parte oggi con dieci minuti di ritardo.",
        "Dietro la casa ci sono un piccolo giardino e due meli.",
        "Lasci la borsa vicino alla porta e venga dentro.",
        "Domani andremo insieme al mercato a comprare il pane.",
    ),
    "pt": (
        "O comboio da manhã sai hoje com dez minutos de atraso.",
        "Atrás da casa há um pequeno jardim com duas macieiras.",
        "Deixe o saco ao lado da porta e entre, por favor.",
        "Amanhã vamos juntos ao mercado comprar pão.",
    ),
    "nl": (
        "De trein naar Utrecht vertrekt vandaag tien minuten later.",
        "Achter het huis staan drie oude appelbomen in de tuin.",
        "Zet de tas maar naast de deur en kom binnen.",
        "Morgen gaan we samen naar de markt om brood te kopen.",
    ),
    "pl": (
        "Pociąg do Krakowa odjeżdża dziś dziesięć minut później.",
        "Za domem jest mały ogród i dwie stare jabłonie.",
        "Proszę postawić torbę obok drzwi i wejść do środka.",
        "Jutro pójdziemy razem na targ kupić chleb.",
    ),
    "sv": (
        "Tåget till Uppsala går tio minuter senare i dag.",
        "Bakom huset finns en liten trädgård med två äppelträd.",
        "Ställ väskan bredvid dörren och kom in.",
        "I morgon går vi tillsammans till torget och köper bröd.",
    ),
    "cs": (
        "Vlak do Brna dnes odjede o deset minut později.",
        "Za domem je malá zahrada a dvě staré jabloně.",
        "Položte tašku vedle dveří a pojďte dál.",
        "Zítra půjdeme spolu na trh a koupíme chleba.",
        "Kniha pořád leží na stole v kuchyni.",
        "Večer bude pršet, vezměte si s sebou deštník.",
    ),
    "fi": (
        "Juna Tampereelle lähtee tänään kymmenen minuuttia myöhemmin.",
        "Talon takana on pieni puutarha ja kaksi omenapuuta.",
        "Laittakaa laukku oven viereen ja tulkaa sisään.",
        "Huomenna menemme yhdessä torille ostamaan leipää.",
        "Kirja on yhä keittiön pöydällä.",
        "Illalla sataa, ottakaa sateenvarjo mukaan.",
    ),
    "ca": (
        "El tren del matí surt avui amb deu minuts de retard.",
        "Darrere la casa hi ha un jardí petit amb dues pomeres.",
        "Deixi la bossa al costat de la porta i passi.",
        "Demà anirem junts al mercat a comprar pa.",
        "El llibre encara és damunt la taula de la cuina.",
    ),
    "ru": (
        "Поезд в Тверь сегодня отправляется на десять минут позже.",
        "За домом небольшой сад и две старые яблони.",
        "Поставьте сумку у двери и проходите.",
        "Завтра мы вместе пойдём на рынок за хлебом.",
        "Книга всё ещё лежит на столе на кухне.",
        "Вечером будет дождь, возьмите с собой зонт.",
    ),
    "hi": (
        "आज सुबह की गाड़ी दस मिनट देर से चलेगी।",
        "घर के पीछे एक छोटा बगीचा और दो पुराने पेड़ हैं।",
        "थैला दरवाज़े के पास रखिए और अंदर आइए।",
        "कल हम साथ में बाज़ार जाकर रोटी खरीदेंगे।",
        "किताब अभी भी रसोई की मेज़ पर है।",
        "शाम को बारिश होगी, छाता साथ ले जाइए।",
    ),
    "tr": (
        "Sabah treni bugün on dakika geç kalkıyor.",
        "Evin arkasında küçük bir bahçe ve iki elma ağacı var.",
        "Çantayı kapının yanına bırakın ve içeri girin.",
        "Yarın birlikte pazara gidip ekmek alacağız.",
    ),
    "hu": (
        "A reggeli vonat ma tíz perccel később indul.",
        "A ház mögött van egy kis kert és két öreg almafa.",
        "Tegye a táskát az ajtó mellé, és jöjjön be.",
        "Holnap együtt megyünk a piacra kenyeret venni.",
    ),
    "el": (
        "Το πρωινό τρένο φεύγει σήμερα δέκα λεπτά αργότερα.",
        "Πίσω από το σπίτι υπάρχει ένας μικρός κήπος.",
        "Αφήστε την τσάντα δίπλα στην πόρτα και περάστε μέσα.",
        "Αύριο θα πάμε μαζί στην αγορά για ψωμί.",
    ),
    "uk": (
        "Потяг до Львова сьогодні вирушає на десять хвилин пізніше.",
        "За хатою є невеликий садок і дві старі яблуні.",
        "Поставте сумку біля дверей і заходьте, будь ласка.",
        "Завтра ми разом підемо на ринок купити хліба.",
        "Книжка досі лежить на столі в кухні.",
        "Увечері буде дощ, візьміть із собою парасольку.",
    ),
    "ky": (
        "Ошко бара турган поезд бүгүн он мүнөт кеч жөнөйт.",
        "Үйдүн артында кичинекей бак жана эки алма дарагы бар.",
        "Баштыкты эшиктин жанына коюп, ичкери кириңиз.",
        "Эртең базарга чогуу барып, нан сатып алабыз.",
        "Китеп дагы эле ашканадагы столдо жатат.",
        "Кечинде жамгыр жаайт, кол чатырыңызды ала кетиңиз.",
    ),
    "eo": (
        "La trajno al la urbo foriras hodiaŭ dek minutojn pli malfrue.",
        "Malantaŭ la domo estas malgranda ĝardeno kun du pomarboj.",
        "Bonvolu meti la sakon apud la pordon kaj eniri.",
        "Morgaŭ ni iros kune al la bazaro por aĉeti panon.",
        "La libro ankoraŭ kuŝas sur la tablo en la kuirejo.",
        "Vespere pluvos, kunprenu vian ombrelon.",
    ),
    "id": (
        "Kereta pagi hari ini berangkat sepuluh menit lebih lambat.",
        "Di belakang rumah ada kebun kecil dan dua pohon apel.",
        "Taruh tas itu di samping pintu dan silakan masuk.",
        "Besok kita pergi bersama ke pasar membeli roti.",
    ),
    "ja": (  # in kana, so that syllables can be counted
        "けさのでんしゃは、じゅっぷんおくれてしゅっぱつします。",
        "いえのうらに、ちいさなにわとりんごのきがあります。",
        "かばんをドアのそばにおいて、どうぞおはいりください。",
        "あしたはいっしょにいちばへいってパンをかいましょう。",
        "ほんはまだ、だいどころのテーブルのうえにあります。",
        "ゆうがたはあめがふるので、かさをもっていってください。",
    ),
}
_PLAIN = re.compile(r"^[A-Za-z ,.'!?;-]+$")
# Of Japanese: kana but small ones, which belong to the kana before, and n, which ends a syllable.
_KANA = re.compile(r"[あいうえおか-ぢつ-もやゆよ-ろわをアイウエオカ-ヂツ-モヤユヨ-ロワヲ]")
# A run of vowels (with length marks and ties) or a syllabic consonant.
_IPA_VOWELS = re.compile(r"[aeiouyɑæɐɒɔəɘɚɛɜɝɞɤɨɪɯɵøœɶʉʊʌʏɷᵻᵿ\u0303ː͡]+|.\u0329")


def english_lines(folder: Path = FORTUNES) -> list[str]:
    """Sentences of 6 to 13 plain words from the `fortunes` package, sorted, without repeats."""
    found: set[str] = set()
    for name in FORTUNE_FILES:
        path = folder / name
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        for entry in text.split("\n%"):
            for sentence in re.split(r"(?<=[.!?])\s+", " ".join(entry.split())):
                words = sentence.split()
                shouting = sum(word.isupper() and len(word) > 1 for word in words)
                if MIN_WORDS <= len(words) <= MAX_WORDS and _PLAIN.match(sentence) and not shouting:
                    found.add(sentence.strip("-' "))
    if not found:
        raise InputError(
            f"no English text found: looked for {', '.join(FORTUNE_FILES)} in {folder}; "
            "install it with `apt-get install fortunes`"
        )
    return sorted(found)


def lines_for(language: str) -> list[str]:
    """What a voice of this language ("en-us") says: fortunes, or our own sentences."""
    return list(SENTENCES.get(language.split("-")[0], ())) or english_lines()


def syllables(text: str, language: str = "en") -> int:
    """How many syllables a voice of this language ("en-us") makes of a text.

    Runs of vowels in the phonemes that espeak-ng writes for it (of Japanese, where it runs them
    together, kana); at least 1. Raises InputError where espeak-ng is missing or does not know the
    language.
    """
    if language == "ja":
        return max(len(_KANA.findall(text)), 1)
    command = ["espeak-ng", "-q", "--ipa", "-v", language, text]
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(
            f"espeak-ng cannot read {language!r} ({error}): apt-get install espeak-ng"
        ) from error
    return max(len(_IPA_VOWELS.findall(done.stdout.decode(errors="replace"))), 1)
