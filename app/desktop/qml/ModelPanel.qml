// The models there are, and what each needs beside what is free, before it is loaded.
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts
import Olivine

Panel {
    id: panel
    title: qsTr("Choose a model")
    wanted_width: 680 * Theme.zoom
    signal folder_wanted()
    signal file_wanted()
    onAboutToShow: {
        context.text = App.contextWanted > 0 ? App.contextWanted : ""
        App.list_models(App.contextWanted)
    }
    onOpened: list.forceActiveFocus()

    function choose(path) {
        App.load_model(path, parseInt(context.text) || 0)
        close()
    }

    Text {
        text: App.models.device
        visible: text !== ""
        color: Theme.muted
        font.pixelSize: Theme.small
        elide: Text.ElideRight
        Layout.fillWidth: true
    }
    ListView {
        id: list
        objectName: "models"
        Layout.fillWidth: true
        Layout.fillHeight: true
        implicitHeight: Math.min(contentHeight, 420 * Theme.zoom)
        clip: true
        spacing: Theme.spacing * 0.5
        model: App.models
        boundsBehavior: Flickable.StopAtBounds
        activeFocusOnTab: true
        ScrollBar.vertical: Scroll {}
        Accessible.role: Accessible.List
        Accessible.name: qsTr("Models")
        Keys.onReturnPressed: if (currentItem) currentItem.clicked()
        delegate: ItemDelegate {
            id: item
            required property int index
            required property string name
            required property string path
            required property string detail
            required property string memory
            required property string fit
            required property string reason
            required property bool builtIn
            readonly property bool current: path === App.modelPath && App.modelState === "ready"
            readonly property color tone: fit === "fits" ? Theme.accent : fit === "streams" ? Theme.warning : Theme.danger
            width: list.width
            padding: Theme.spacing
            focusPolicy: Qt.NoFocus
            enabled: fit !== "broken"
            Accessible.name: name + ", " + detail + ", " + memory + ". " + reason
            onClicked: panel.choose(path)
            background: Rectangle {
                radius: Theme.radius
                color: item.hovered ? Theme.hover : item.current ? Theme.raised : Theme.surface
                border.width: list.activeFocus && item.ListView.isCurrentItem ? 2 : item.current ? 1 : 0
                border.color: Theme.accent
            }
            contentItem: Column {
                spacing: 3 * Theme.zoom
                RowLayout {
                    width: parent.width
                    spacing: Theme.spacing
                    Text {
                        text: item.name
                        textFormat: Text.PlainText
                        color: Theme.text
                        font.pixelSize: Theme.fontSize
                        font.weight: Font.DemiBold
                        elide: Text.ElideMiddle
                        Layout.fillWidth: true
                    }
                    IconGlyph {
                        visible: item.current
                        symbol: "check"
                        color: Theme.accent
                    }
                    Text {
                        text: item.memory
                        color: item.tone
                        font.pixelSize: Theme.small
                    }
                }
                Text {
                    width: parent.width
                    visible: text !== ""
                    text: item.detail
                    color: Theme.muted
                    font.pixelSize: Theme.small
                    elide: Text.ElideRight
                }
                Text {
                    width: parent.width
                    visible: text !== ""
                    text: item.reason
                    textFormat: Text.PlainText
                    wrapMode: Text.Wrap
                    color: item.tone
                    font.pixelSize: Theme.small
                }
            }
        }
    }
    Waiting {
        visible: App.models.reading
        text: qsTr("Looking for models…")
    }
    RowLayout {
        Layout.fillWidth: true
        spacing: Theme.spacing
        Text {
            text: qsTr("Context, tokens")
            color: Theme.text
            font.pixelSize: Theme.small * 1.08
        }
        Field {
            id: context
            objectName: "contextField"
            name: qsTr("Context, tokens")
            placeholderText: qsTr("up to 8192")
            implicitWidth: 110 * Theme.zoom
            validator: IntValidator { bottom: 1; top: 1000000 }
            onEditingFinished: App.list_models(parseInt(text) || 0)
        }
        Item { Layout.fillWidth: true }
        TextButton {
            text: qsTr("Add a file…")
            symbol: "file"
            onClicked: panel.file_wanted()
        }
        TextButton {
            text: qsTr("Add a folder…")
            symbol: "folder"
            onClicked: panel.folder_wanted()
        }
    }
    Flow {
        Layout.fillWidth: true
        spacing: Theme.spacing * 0.5
        visible: App.models.places.length > 0
        Repeater {
            model: App.models.places
            Rectangle {
                id: place
                required property string modelData
                width: placeRow.width + Theme.spacing
                height: Theme.control * 0.8
                radius: height / 2
                color: Theme.raised
                Row {
                    id: placeRow
                    x: Theme.spacing
                    height: parent.height
                    Text {
                        anchors.verticalCenter: parent.verticalCenter
                        text: place.modelData
                        textFormat: Text.PlainText
                        elide: Text.ElideLeft
                        width: Math.min(implicitWidth, 300 * Theme.zoom)
                        color: Theme.muted
                        font.pixelSize: Theme.small
                    }
                    IconButton {
                        name: qsTr("Do not look there any more")
                        symbol: "close"
                        size: parent.height
                        onClicked: App.remove_place(place.modelData)
                    }
                }
            }
        }
    }
    Text {
        Layout.fillWidth: true
        text: qsTr("Hugging Face folders and .gguf files of Gemma 3 and Gemma 2. Dropping one on the window loads it.")
        wrapMode: Text.Wrap
        color: Theme.muted
        font.pixelSize: Theme.small
    }
}
