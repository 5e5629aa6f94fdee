// Where the question is written, with pictures and long pasted texts beside it.
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts
import Olivine

Rectangle {
    id: composer
    property alias input: input
    property var pasted: []  // long texts that go with the question
    readonly property bool answering: App.conversation.answering
    readonly property bool can_send: !answering && !App.conversation.sending && !App.tray.reading
                                     && (input.text.trim() !== "" || pasted.length > 0 || App.tray.count > 0)
    // Longer ones are shown as a chip: nobody edits them, and laying them out takes seconds.
    readonly property int longest: 20000
    signal picture_wanted()
    signal picture_opened(url picture)

    implicitHeight: column.height + 2 * Theme.spacing
    radius: Theme.radius * 1.6
    color: Theme.field
    border.width: input.activeFocus ? 2 : 1
    border.color: input.activeFocus ? Theme.accent : Theme.border

    property string sent_text     // what is being stored: what is typed meanwhile stays
    property int sent_pasted: 0

    function send() {
        if (!can_send)
            return
        sent_text = input.text
        sent_pasted = pasted.length
        App.conversation.send([input.text.trim(), ...pasted].filter(text => text !== "").join("\n\n"))
    }
    // Pasted or dropped.
    function add(text) {
        if (text.length > longest)
            pasted = [...pasted, text]
        else
            input.insert(input.selectedText === "" ? input.cursorPosition : (input.remove(input.selectionStart, input.selectionEnd), input.cursorPosition), text)
    }
    function paste() {
        if (App.tray.add_clipboard())
            return
        add(App.clipboard_text())
    }

    Connections {
        target: App.conversation
        function onSent() {
            if (input.text === composer.sent_text)
                input.clear()
            composer.pasted = composer.pasted.slice(composer.sent_pasted)
        }
    }

    Column {
        id: column
        x: Theme.spacing
        y: Theme.spacing
        width: parent.width - 2 * Theme.spacing
        spacing: Theme.spacing * 0.5

        Flow {
            width: parent.width
            spacing: Theme.spacing
            visible: App.tray.count > 0 || App.tray.reading || composer.pasted.length > 0
            Repeater {
                model: App.tray
                Thumbnail {
                    id: picture
                    objectName: "trayPicture"
                    required property int index
                    required property url url
                    source: url
                    size: 68 * Theme.zoom
                    onClicked: composer.picture_opened(url)
                    IconButton {
                        name: qsTr("Leave out this picture")
                        symbol: "close"
                        prominent: true
                        size: 20 * Theme.zoom
                        anchors { right: parent.right; top: parent.top }
                        onClicked: App.tray.remove(picture.index)
                    }
                }
            }
            Repeater {
                model: composer.pasted
                Rectangle {
                    id: chip
                    objectName: "pastedText"
                    required property int index
                    required property string modelData
                    width: chipRow.width + 2 * Theme.spacing
                    height: 44 * Theme.zoom
                    radius: Theme.radius
                    color: Theme.raised
                    Row {
                        id: chipRow
                        x: Theme.spacing
                        height: parent.height
                        spacing: Theme.spacing
                        IconGlyph { symbol: "text"; anchors.verticalCenter: parent.verticalCenter }
                        Text {
                            text: qsTr("Pasted text, %L1 characters").arg(chip.modelData.length)
                            color: Theme.text
                            font.pixelSize: Theme.small
                            anchors.verticalCenter: parent.verticalCenter
                        }
                        IconButton {
                            name: qsTr("Leave out the pasted text")
                            symbol: "close"
                            size: 22 * Theme.zoom
                            anchors.verticalCenter: parent.verticalCenter
                            onClicked: composer.pasted = composer.pasted.filter((_, i) => i !== chip.index)
                        }
                    }
                }
            }
            Waiting {
                visible: App.tray.reading
                text: qsTr("Reading the picture…")
            }
        }
        Text {
            visible: App.tray.count > 0 && App.modelState === "ready" && !App.takesPictures
            width: parent.width
            wrapMode: Text.Wrap
            textFormat: Text.PlainText
            text: qsTr("%1 reads text only, no pictures. Choose a model that takes them, or leave the pictures out.").arg(App.modelName)
            color: Theme.warning
            font.pixelSize: Theme.small
            leftPadding: Theme.spacing * 0.5
        }
        RowLayout {
            width: parent.width
            spacing: Theme.spacing * 0.5
            IconButton {
                objectName: "attach"
                name: qsTr("Add a picture")
                hint: "Ctrl+O"
                symbol: "picture"
                Layout.alignment: Qt.AlignBottom
                onClicked: composer.picture_wanted()
            }
            Flickable {
                id: flick
                Layout.fillWidth: true
                Layout.alignment: Qt.AlignVCenter
                implicitHeight: Math.max(Theme.control, Math.min(input.implicitHeight, 220 * Theme.zoom))
                clip: true
                boundsBehavior: Flickable.StopAtBounds
                ScrollBar.vertical: Scroll { visible: flick.contentHeight > flick.height + 1 }
                TextArea.flickable: TextArea {
                    id: input
                    objectName: "input"
                    wrapMode: TextEdit.Wrap
                    textFormat: TextEdit.PlainText
                    placeholderText: qsTr("Ask something")
                    placeholderTextColor: Theme.muted
                    color: Theme.text
                    selectionColor: Theme.selection
                    selectedTextColor: Theme.text
                    font.pixelSize: Theme.fontSize
                    leftPadding: Theme.spacing * 0.5
                    rightPadding: Theme.spacing
                    topPadding: Math.max(0, (Theme.control - Theme.fontSize * 1.3) / 2)
                    bottomPadding: topPadding
                    selectByMouse: true
                    background: null
                    focus: true
                    Keys.onTabPressed: nextItemInFocusChain(true).forceActiveFocus(Qt.TabFocusReason)
                    Keys.onBacktabPressed: nextItemInFocusChain(false).forceActiveFocus(Qt.BacktabFocusReason)
                    Accessible.name: qsTr("Your question")
                    Keys.onPressed: event => {
                        const enter = event.key === Qt.Key_Return || event.key === Qt.Key_Enter
                        if (event.matches(StandardKey.Paste)) {
                            composer.paste()
                            event.accepted = true
                        } else if (enter && !(event.modifiers & Qt.ShiftModifier)
                                   && (App.preferences.enterSends || event.modifiers & Qt.ControlModifier)) {
                            composer.send()
                            event.accepted = true
                        } else if (text === "" && event.modifiers & Qt.ControlModifier
                                   && (event.key === Qt.Key_Home || event.key === Qt.Key_End)) {
                            composer.leap(event.key === Qt.Key_End)  // nothing is typed to leap in
                            event.accepted = true
                        } else if (event.key === Qt.Key_Up && text === "") {
                            composer.edit_last()
                            event.accepted = true
                        }
                    }
                    EditMenu {
                        edit: input
                        paste: composer.paste
                    }
                }
            }
            IconButton {
                id: send
                objectName: composer.answering ? "stop" : "send"
                name: composer.answering ? qsTr("Stop") : qsTr("Send")
                hint: composer.answering ? "Esc" : App.preferences.enterSends ? "Enter" : "Ctrl+Enter"
                symbol: composer.answering ? "stop" : "send"
                prominent: true
                enabled: composer.answering || composer.can_send
                Layout.alignment: Qt.AlignBottom
                onClicked: composer.answering ? App.conversation.stop() : composer.send()
            }
        }
    }
    signal edit_last()
    signal leap(bool end)
}
