// Of this conversation: what the model is told at first, and how words are drawn. Of the program: how it looks.
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts
import Olivine

Panel {
    id: panel
    title: qsTr("Settings")
    wanted_width: 560 * Theme.zoom

    component Heading: Text {
        color: Theme.text
        font.pixelSize: Theme.fontSize
        font.weight: Font.DemiBold
        topPadding: Theme.spacing * 0.5
        Accessible.role: Accessible.Heading
        Accessible.name: text
    }
    component Named: RowLayout {
        id: named
        property string text
        property string hint
        Layout.fillWidth: true
        spacing: Theme.spacing
        Column {
            Layout.fillWidth: true
            Text {
                text: named.text
                color: Theme.text
                font.pixelSize: Theme.small * 1.08
            }
            Text {
                width: parent.width
                visible: named.hint !== ""
                text: named.hint
                color: Theme.muted
                font.pixelSize: Theme.small * 0.95
                wrapMode: Text.Wrap
            }
        }
    }
    component Figure: Field {
        id: number
        property real value
        property real least: 0
        property real most: 1
        property int decimals: 2
        signal chosen(real value)
        implicitWidth: 90 * Theme.zoom
        horizontalAlignment: TextInput.AlignRight
        text: Number(value.toFixed(decimals)).toString()
        inputMethodHints: Qt.ImhFormattedNumbersOnly
        onEditingFinished: {
            const typed = parseFloat(text.replace(",", "."))
            if (!isNaN(typed))
                chosen(Math.max(least, Math.min(most, typed)))
            text = Qt.binding(() => Number(number.value.toFixed(number.decimals)).toString())
        }
    }

    Flickable {
        Layout.fillWidth: true
        Layout.fillHeight: true
        implicitHeight: form.height
        contentHeight: form.height
        clip: true
        boundsBehavior: Flickable.StopAtBounds
        ScrollBar.vertical: Scroll {}
        ColumnLayout {
            id: form
            width: parent.width - 12 * Theme.zoom
            spacing: Theme.spacing

            Heading { text: qsTr("This conversation") }
            Text {
                text: qsTr("System prompt: what the model is told before your first question")
                color: Theme.muted
                font.pixelSize: Theme.small
            }
            Rectangle {
                Layout.fillWidth: true
                implicitHeight: Math.max(76 * Theme.zoom, system.implicitHeight)
                radius: Theme.radius * 0.7
                color: Theme.field
                border.width: system.activeFocus ? 2 : 1
                border.color: system.activeFocus ? Theme.accent : Theme.border
                TextArea {
                    id: system
                    objectName: "systemText"
                    anchors.fill: parent
                    text: App.conversation.systemText
                    onTextChanged: if (activeFocus) App.conversation.systemText = text
                    wrapMode: TextEdit.Wrap
                    textFormat: TextEdit.PlainText
                    color: Theme.text
                    selectionColor: Theme.selection
                    selectedTextColor: Theme.text
                    font.pixelSize: Theme.fontSize
                    background: null
                    KeyNavigation.priority: KeyNavigation.BeforeItem
                    KeyNavigation.tab: temperature
                    Accessible.name: qsTr("System prompt")
                }
            }
            Named {
                text: qsTr("Temperature")
                hint: qsTr("0: the likeliest word each time; more: more varied")
                Figure {
                    id: temperature
                    objectName: "temperature"
                    name: parent.text
                    value: App.conversation.temperature
                    most: 5
                    onChosen: value => App.conversation.temperature = value
                }
            }
            Named {
                text: qsTr("Top-k")
                hint: qsTr("words to draw from, the likeliest ones; 0: all")
                Figure {
                    name: parent.text
                    value: App.conversation.topK
                    decimals: 0
                    most: 1000000
                    onChosen: value => App.conversation.topK = value
                }
            }
            Named {
                text: qsTr("Top-p")
                hint: qsTr("of them, those that together are so likely; 1: all")
                Figure {
                    name: parent.text
                    value: App.conversation.topP
                    onChosen: value => App.conversation.topP = value
                }
            }
            Named {
                text: qsTr("Min-p")
                hint: qsTr("of them, those at least so likely, beside the likeliest; 0: all")
                Figure {
                    name: parent.text
                    value: App.conversation.minP
                    onChosen: value => App.conversation.minP = value
                }
            }
            Named {
                text: qsTr("Repeat penalty")
                hint: qsTr("1: none; more: what was said is said again less")
                Figure {
                    name: parent.text
                    value: App.conversation.repeatPenalty
                    least: 0.5
                    most: 2
                    onChosen: value => App.conversation.repeatPenalty = value
                }
            }
            Named {
                text: qsTr("Longest answer, tokens")
                hint: qsTr("0: until the model ends it")
                Figure {
                    name: parent.text
                    value: App.conversation.maxTokens
                    decimals: 0
                    most: 1000000
                    onChosen: value => App.conversation.maxTokens = value
                }
            }
            Named {
                text: qsTr("Seed")
                hint: qsTr("a number, for the same answers again; empty: another one each time")
                Field {
                    objectName: "seed"
                    name: parent.text
                    text: App.conversation.seed
                    placeholderText: qsTr("random")
                    implicitWidth: 160 * Theme.zoom
                    validator: RegularExpressionValidator { regularExpression: /[0-9]{0,19}/ }
                    onEditingFinished: App.conversation.seed = text
                }
            }
            Named {
                text: qsTr("Forget the oldest turns when the context is full")
                hint: qsTr("otherwise the answer ends there")
                Toggle {
                    name: parent.text
                    checked: App.conversation.forget
                    onToggled: App.conversation.forget = checked
                }
            }
            TextButton {
                text: qsTr("Back to the defaults")
                Layout.alignment: Qt.AlignRight
                onClicked: App.conversation.reset_sampling()
            }

            Heading { text: qsTr("The program") }
            Named {
                text: qsTr("Colours")
                Repeater {
                    model: [["system", qsTr("System")], ["light", qsTr("Light")], ["dark", qsTr("Dark")]]
                    TextButton {
                        required property var modelData
                        text: modelData[1]
                        prominent: App.preferences.theme === modelData[0]
                        onClicked: App.preferences.theme = modelData[0]
                    }
                }
            }
            Named {
                text: qsTr("Size")
                TextButton { text: "−"; hint: "Ctrl+−"; Accessible.name: qsTr("Smaller"); onClicked: App.preferences.zoom -= 0.1 }
                Text {
                    text: Math.round(App.preferences.zoom * 100) + " %"
                    color: Theme.text
                    font.pixelSize: Theme.small
                }
                TextButton { text: "+"; hint: "Ctrl++"; Accessible.name: qsTr("Larger"); onClicked: App.preferences.zoom += 0.1 }
            }
            Named {
                text: qsTr("Enter sends")
                hint: qsTr("otherwise Ctrl+Enter does, and Enter begins a line")
                Toggle {
                    name: parent.text
                    checked: App.preferences.enterSends
                    onToggled: App.preferences.enterSends = checked
                }
            }
            Text {
                text: "Olivine " + App.version
                color: Theme.muted
                font.pixelSize: Theme.small
            }
        }
    }
}
