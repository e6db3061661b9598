"""Words for the voice itself: pitch, level and breath.

It knows nothing of grammar (see captions.py), audio or the model, nor of the other tables. What is
in heldout_wording.py is kept out of here.
"""

from clsp.training.wording import Words

VOICE: dict[tuple[str, str], Words] = {
    ("pitch", "low"): Words(
        adjectives="low-pitched|deep-voiced|bass-voiced|low-voiced|baritone-voiced|deep-sounding",
        voices="low-pitched|low pitched|deep|low|bass|deep and low|low-pitch|very deep|baritone|"
        "rumbling|dark and deep|lower-pitched|bassy|rather deep|fairly low|extremely deep|"
        "slightly low|deeper than average|lower than usual|gravelly deep|very low|"
        "sonorous and deep|bass-baritone|deep-pitched|quite low-pitched|low-toned",
        adverbs="in a low pitch|at a low pitch|with a deep pitch|in a deep voice|"
        "in a low register|at a low frequency|with a low fundamental frequency|in a bass voice|"
        "in a rather deep voice|at the bottom of the range|lower than average in pitch|"
        "down in the bass|with a low pitch|in a very low pitch",
        sentences="The pitch is low.|The voice is deep.|The voice is low-pitched.|"
        "The pitch is deep.|The pitch is very low.|The pitch is lower than average.|"
        "The voice is low.|The voice is low in pitch.|The voice sounds deep.|"
        "The fundamental frequency is low.|The voice lies low on the scale.|"
        "The speaker has a deep voice.|The speaker has a low-pitched voice.|"
        "They have a deep voice.|They speak in a low pitch.|The speech is low-pitched.|"
        "Sounds like a bass.|You can tell the pitch is low.|"
        "The voice is not high at all.",
        tags="lower pitch|low tone|low frequency voice|baritone|deep pitch|low|low pitch|deep|"
        "low-pitched|deep voice|bass|low voice|f0: low|voice pitch: low|"
        "low-pitched voice|low-pitched speech|low-pitched audio|"
        "low-pitched recording|low-pitched speaker|deep speech|deep-voiced|deep tone|"
        "bass voice|bassy|baritone voice|very deep|very low pitch|rather deep|fairly low pitch|"
        "a bit low-pitched|extremely low pitch|lower than average pitch|deeper than usual|"
        "not high-pitched at all|around a hundred hertz|low notes|low frequency|"
        "bottom of the range|lowness of pitch",
    ),
    ("pitch", "medium"): Words(
        adjectives="medium-pitched|average-pitched|mid-voiced|moderately pitched|middle-pitched",
        voices="medium-pitched|medium pitched|mid-pitched|moderately pitched|medium-pitch|"
        "average-pitched|middle-pitched|mid-range|mid-register|neither high nor low|"
        "neither deep nor shrill|ordinarily pitched|normally pitched|fairly mid-pitched|mid-toned|"
        "average in pitch|medium-register|normal-pitched|regular-pitched|"
        "middling in pitch",
        adverbs="in a medium pitch|at a medium pitch|with a moderate pitch|in a middle register|"
        "at a medium frequency|with a medium fundamental frequency|in a medium-pitched voice|"
        "in the middle of the range|at an average pitch|neither high nor low in pitch|"
        "around the middle of the scale|with a medium pitch|in a normal pitch",
        sentences="The pitch is medium.|The voice is medium-pitched.|The pitch is moderate.|"
        "The pitch is average.|The pitch is in the middle.|The pitch is neither high nor low.|"
        "The voice is average in pitch.|The voice is medium in pitch.|"
        "The voice sounds neither deep nor shrill.|The fundamental frequency is medium.|"
        "The voice lies in the middle of the scale.|The speaker has a medium-pitched voice.|"
        "The speaker has a voice of average pitch.|They have a mid-pitched voice.|"
        "They speak in a medium pitch.|The speech is medium-pitched.|"
        "Sounds like a mid-range voice.|You can tell the pitch is average.|"
        "The voice is neither high nor deep.",
        tags="normal pitch|middle pitch|pitch neither high nor low|mid-range pitch|medium pitch|"
        "medium-pitched|mid pitch|moderate pitch|average pitch|pitch: average|"
        "f0: medium|voice pitch: medium|medium f0|"
        "medium-pitched voice|medium-pitched speech|medium-pitched audio|medium-pitched recording|"
        "medium-pitched speaker|mid-pitched|mid-pitched voice|mid-range voice|"
        "mid register|average-pitched voice|average-pitched|normally pitched|ordinary pitch|"
        "usual pitch|fairly average pitch|about average pitch|moderately pitched|"
        "neither deep nor shrill|neither high-pitched nor low-pitched|in-between pitch|"
        "mid-range f0|around a hundred and seventy hertz|middle notes|medium frequency voice|"
        "middle of the range|standard pitch",
    ),
    ("pitch", "high"): Words(
        adjectives="high-pitched|shrill|high-voiced|soprano-voiced|squeaky-voiced|high-sounding",
        voices="high-pitched|high pitched|high|shrill|squeaky|very high|high-pitch|piping|"
        "rather high|fairly high|extremely high|slightly high|higher than average|"
        "higher than usual|shrill and high|piercingly high|very high-pitched|"
        "thin and high|soprano|higher-pitched|quite high-pitched|high-toned|reedy and high",
        adverbs="in a high pitch|at a high pitch|with a high pitch|shrilly|in a high register|"
        "at a high frequency|with a high fundamental frequency|in a shrill voice|"
        "in a rather high voice|at the top of the range|higher than average in pitch|"
        "up in the treble|in a squeaky voice|in a very high pitch|in falsetto",
        sentences="The pitch is high.|The voice is high-pitched.|The voice is shrill.|"
        "The speaker has a high voice.|The tone is high.|The pitch is raised.|"
        "The pitch is very high.|The pitch is higher than average.|The voice is high.|"
        "The voice is high in pitch.|The voice sounds high.|The fundamental frequency is high.|"
        "The voice lies high on the scale.|The voice is squeaky.|"
        "The speaker has a high-pitched voice.|They have a high voice.|"
        "They speak in a high pitch.|The speech is high-pitched.|Sounds like a soprano.|"
        "You can tell the pitch is high.|The voice is not deep at all.",
        tags="higher pitch|high tone|soprano|piercing|falsetto|high frequency voice|high|"
        "high pitch|high-pitched|shrill|high voice|squeaky|treble|f0: high|"
        "voice pitch: high|high-pitched voice|"
        "high-pitched speech|high-pitched audio|high-pitched recording|high-pitched speaker|"
        "high speech|high-voiced|shrill voice|soprano voice|piping|squeaky voice|"
        "very high-pitched|very high pitch|rather high-pitched|fairly high pitch|"
        "a bit high-pitched|extremely high pitch|higher than average pitch|"
        "higher than usual pitch|not low-pitched at all|around two hundred and fifty hertz|"
        "high notes|high frequency|top of the range|shrillness",
    ),
    ("level", "quiet"): Words(
        adjectives="quiet|soft-spoken|faint|softly spoken|quiet-voiced|hushed|low-volume|"
        "barely audible|hard-to-hear|very quiet|rather quiet|extremely quiet|quieter than usual|"
        "muted",
        voices="quiet|soft|faint|low-volume|hushed|barely audible|weak|subdued|very quiet|"
        "soft and quiet|rather quiet|fairly soft|extremely quiet|slightly quiet|"
        "quieter than usual|scarcely audible|hard-to-hear|turned-down|low-level|muted|feeble|"
        "softly spoken|somewhat faint|really quiet|nearly inaudible|soft, low-volume",
        adverbs="quietly|softly|at low volume|faintly|in a quiet voice|under the breath|"
        "very quietly|ever so softly|rather softly|a bit too quietly|extremely quietly|"
        "at a low level|at low loudness|in a soft voice|in a hushed voice|in hushed tones|"
        "barely audibly|so softly it is hard to hear|so quietly you have to lean in|"
        "hardly above a murmur|with hardly any volume|with little loudness|"
        "more quietly than usual|too quietly to be heard well|not loudly at all|in a faint voice|"
        "below normal volume|as quietly as a mouse|in an undertone|with the volume down",
        verbs="murmuring|mumbling|muttering|keeping their voice down|speaking softly|"
        "talking quietly|speaking too quietly|talking in hushed tones|barely making a sound|"
        "speaking under their breath",
        clauses="at a low volume level|with the volume turned down|with the sound turned low|"
        "at a very low level|too quiet to hear well|with hardly any loudness|"
        "far below normal loudness|with low gain|hard to hear|barely loud enough to hear",
        sentences="The volume is low.|The voice is quiet.|The speech is soft.|The sound is faint.|"
        "The volume is very low.|The volume has been turned down.|The level is low.|"
        "The loudness is low.|They speak softly.|They speak quietly.|The speaker is hard to hear.|"
        "You have to strain to hear them.|You need to turn the volume up.|"
        "You can hardly hear the voice.|The voice is barely audible.|"
        "Sounds like someone keeping their voice down.|The speaker talks in a soft voice.|"
        "It is too quiet.|The person is speaking very softly.|The voice is faint.|"
        "The speech is quieter than usual.|The signal level is low.|The voice is not loud at all.|"
        "The clip is quiet.|The speaker is quiet.|"
        "You can tell they are speaking quietly.|The gain is low.|"
        "The speaker does not talk loudly at all.|The speaker has a soft voice.|"
        "The listener has to lean in.|The audio is quiet.|The speaker's volume is low.",
        tags="hushed|low level|low loudness|quiet speech|silent|subdued|turned down|quiet|soft|"
        "faint|low volume|quietly|softly|quiet voice|murmur|loudness: low|level: low|"
        "level: quiet|volume: quiet|low vol|quiet audio|quiet recording|quiet talking|"
        "quiet speaker|quiet talker|soft voice|soft speech|soft-spoken|softly spoken|faint voice|"
        "faint speech|faint audio|hushed voice|hushed tones|hard to hear|barely audible|"
        "almost inaudible|inaudible|very quiet|a bit quiet|too quiet|rather quiet|extremely quiet|"
        "slightly quiet|quieter|quieter than usual|softer than normal|low gain|low signal level|"
        "low amplitude|low intensity|low sound level|low-volume speech|muttering|"
        "murmuring|mumbled|undertone|not loud at all|quietness|muted|low db|volume down|"
        "speaking softly|talking quietly|under the breath",
    ),
    ("level", "normal"): Words(
        adjectives="moderately loud|medium-volume|normal-volume|average-volume|"
        "comfortably audible|reasonably loud|medium-loud|neither loud nor quiet|as loud as usual|"
        "ordinarily loud|medium-level",
        voices="normal-volume|moderately loud|medium-volume|average-volume|moderate-volume|"
        "comfortably loud|medium-loud|reasonably loud|normal-level|medium-level|"
        "conversational-volume|neither loud nor quiet|neither loud nor soft|usual-volume|"
        "comfortably audible|normally loud|mid-volume|balanced-volume|as loud as usual|"
        "regular-volume",
        adverbs="at a normal volume|at a moderate volume|at a medium volume|at an average level|"
        "at conversational volume|at a conversational level|at a usual volume|at regular loudness|"
        "at normal loudness|neither loudly nor quietly|neither too loudly nor too softly|"
        "at a comfortable volume|at a comfortable listening level|at an everyday volume|"
        "with average loudness|with medium volume|moderately loudly|at a reasonable volume|"
        "as loudly as usual|no louder and no quieter than usual|at an ordinary level|"
        "at about sixty decibels|with the volume in the middle|at normal conversational loudness|"
        "at a middling volume|at a standard level|with the volume at normal",
        verbs="speaking at a normal volume|talking at a medium volume|"
        "talking as loudly as people usually do|keeping the volume moderate|"
        "speaking neither loudly nor softly|speaking at conversational loudness|"
        "neither shouting nor murmuring|keeping to a normal level",
        clauses="at a medium volume level|with the volume at a middle setting|"
        "with the sound at a normal level|at an ordinary loudness|neither too loud nor too quiet|"
        "with moderate loudness|right around normal loudness|with medium gain|"
        "easy to hear but not loud|just loud enough to hear comfortably",
        sentences="The volume is moderate.|The volume is normal.|The loudness is average.|"
        "The volume is medium.|The volume is about average.|The volume has been set to normal.|"
        "The level is normal.|The level is medium.|The loudness is moderate.|"
        "The loudness is normal.|They speak at a normal volume.|"
        "They speak neither loudly nor quietly.|"
        "The speaker is as loud as anyone in a conversation.|"
        "There is no need to change the volume.|You can leave the volume where it is.|"
        "The volume is just right.|The voice is neither loud nor quiet.|"
        "Sounds like someone talking at an ordinary volume.|"
        "The speaker talks at a conversational volume.|It is neither too loud nor too quiet.|"
        "The person is speaking at medium volume.|The voice is of average loudness.|"
        "The speech is about as loud as usual.|The signal level is medium.|"
        "The voice is not loud and not quiet.|The clip is of normal loudness.|"
        "Volume: normal.|You can tell they are speaking at a normal level.|The gain is normal.|"
        "The speaker neither raises nor lowers the volume.|The audio is at a normal level.|"
        "The speaker's volume is average.",
        tags="normal|normal loudness|middle volume|neither loud nor quiet|ordinary volume|"
        "moderate loudness|moderate volume|normal volume|medium volume|average loudness|"
        "normal level|volume: normal|volume: moderate|loudness: medium|"
        "loudness: normal|level: normal|level: medium|medium vol|normal-volume audio|"
        "normal-level recording|medium-volume talking|medium-volume speaker|normal-volume voice|"
        "medium-volume voice|medium-volume speech|conversational volume|conversational level|"
        "conversational loudness|comfortable volume|comfortable level|comfortable loudness|"
        "neither loud nor soft|neither too loud nor too quiet|medium level|"
        "moderate level|average level|average volume|regular volume|regular loudness|usual volume|"
        "usual loudness|everyday volume|standard volume|standard level|reasonable volume|"
        "mid volume|mid-level volume|middle loudness|ordinary loudness|ordinary level|"
        "typical volume|as loud as usual|moderately loud|fairly moderate volume|medium gain|"
        "normal gain|medium signal level|normal amplitude|medium intensity|normal sound level|"
        "not too loud, not too quiet|volume in the middle|normal speaking volume|"
        "normal talking volume|volume just right",
    ),
    ("level", "loud"): Words(
        adjectives="loud|booming|loudly spoken|loud-voiced|thunderous|high-volume|deafening|"
        "ear-splitting|very loud|rather loud|extremely loud|louder than usual|blaring",
        voices="loud|booming|very loud|high-volume|powerful|strong|loud and strong|rather loud|"
        "fairly loud|extremely loud|slightly loud|louder than usual|thunderous|turned-up|"
        "high-level|blaring|deafening|loudly spoken|ear-splitting|really loud|thundering|"
        "big, high-volume|raised|shouting|stentorian|carrying",
        adverbs="loudly|at high volume|in a loud voice|at the top of the voice|very loudly|"
        "extremely loudly|ever so loudly|rather loudly|a bit too loudly|at a high level|"
        "at great loudness|in a booming voice|in a raised voice|in a thunderous voice|deafeningly|"
        "so loudly it hurts the ears|so loudly you have to step back|at the top of their lungs|"
        "at full volume|with a lot of volume|more loudly than usual|too loudly for comfort|"
        "not quietly at all|with a raised voice|above normal volume|at full blast|"
        "as loudly as possible|with the volume up|loud enough to be heard across the street",
        verbs="shouting|yelling|screaming|calling out|hollering|raising their voice|"
        "speaking loudly|talking loudly|speaking too loudly|talking at full volume|bellowing|"
        "roaring|shouting at the top of their lungs",
        clauses="at a high volume level|with the volume turned up|with the sound turned up high|"
        "at a very high level|too loud for comfort|with great loudness|far above normal loudness|"
        "with high gain|impossible not to hear|loud enough to overdrive the microphone",
        sentences="The volume is high.|The voice is loud.|The speech is booming.|"
        "The volume is very high.|The volume has been turned up.|The level is high.|"
        "The loudness is high.|They speak loudly.|They are shouting.|"
        "The speaker is easy to hear from far away.|You have to cover your ears.|"
        "You need to turn the volume down.|You could hear the voice from across the street.|"
        "The voice is deafening.|Sounds like someone shouting.|The speaker talks in a loud voice.|"
        "It is too loud.|The person is speaking very loudly.|The voice is booming.|"
        "The speech is louder than usual.|The signal level is high.|"
        "The voice is not quiet at all.|The clip is loud.|The speaker is loud.|"
        "You can tell they are shouting.|The gain is high.|"
        "The speaker does not talk quietly at all.|The speaker has a loud voice.|"
        "The microphone is overdriven.|The audio is loud.|The speaker's volume is high.",
        tags="high level|very loud|loud speech|bellowing|roaring|deafening|blaring|turned up|loud|"
        "loudly|high volume|booming|shouting|yelling|loud voice|screaming|shout|"
        "loudness: high|level: high|level: loud|volume: loud|high vol|loud audio|loud recording|"
        "loud talking|loud speaker|loud talker|loud shouting|booming voice|booming speech|"
        "blaring voice|blaring audio|raised voice|raised voices|thunderous voice|hard on the ears|"
        "ear-splitting|thunderous|hollering|a bit loud|too loud|rather loud|extremely loud|"
        "slightly loud|louder|louder than usual|louder than normal|high gain|high signal level|"
        "high amplitude|high intensity|high sound level|high-volume speech|"
        "shouted|yelled|shouted words|yell|scream|full volume|not quiet at all|loudness|"
        "full blast|high db|volume up|speaking loudly|talking loudly|top of the lungs|"
        "overdriven microphone|vociferous",
    ),
    ("breathy", "yes"): Words(
        adjectives="breathy|breathy-voiced|very breathy|airy-voiced",
        voices="breathy|airy|breathy and soft|very breathy|rather breathy|slightly breathy|"
        "breath-filled|airy, breathy|sighing|aspirated|breathier than usual|air-filled",
        adverbs="breathily|in a breathy voice|with a lot of breath|in an airy voice|"
        "with audible breath|with breathy phonation|with air escaping between the words|"
        "with a breathy tone|with much air in the voice|as if sighing",
        verbs="sighing out the words|letting a lot of air through|breathing through the words",
        clauses="with a lot of air in the voice|with audible breath noise in the voice|"
        "with air leaking through the voice",
        sentences="The voice is breathy.|The voice is airy.|The speaker sounds breathy.|"
        "The speaker has a breathy voice.|There is a lot of air in the voice.|"
        "You can hear the breath in the voice.|Air leaks through the voice.|"
        "The phonation is breathy.|They speak in a breathy voice.|The voice is full of breath.|"
        "The voice quality is breathy.|The speech is breathy.",
        tags="breathy|airy|breathy voice|breathy speech|breathy phonation|breathy tone|"
        "breathiness|airy voice|airy tone|aspirated voice|breathy speaker|breathy talking|"
        "breathy delivery|very breathy|a bit breathy|slightly breathy|rather breathy|"
        "full of breath|audible breath|voice with air|phonation: breathy|voice: breathy|"
        "voice quality: breathy|air in the voice|leaky voice",
    ),
}
